//! Writes example pictures to the folder given (or the current one), and the time each took.
//!
//! `sharp.png`, `defocused.png`, `motion.png`, `dark.png`, `bubble.png`, `raw.png` (the sensor's own samples, grey): a
//! part of a full frame each, for a closer look.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it prints what it measured")]

use planktor_protocol::camera::{Picture, Pixels, Settings};
use planktor_sim::render::render;
use planktor_sim::scene::{Format, Look, Particle, Scene};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where a detail begins, and its sides, in pixels.
const DETAIL: (usize, usize, usize, usize) = (1_500, 900, 640, 480);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    let sharp = scene(|_| 0.0);
    let motion = Scene {
        drift_um: std::array::from_fn(|i| 60.0 * i as f32),
        exposure_fraction: 0.03,
        ..sharp.clone()
    };
    let mut bubble = sharp.clone();
    for (n, particle) in bubble.particles.iter_mut().enumerate().filter(|(n, _)| n % 3 == 1) {
        (particle.look, particle.scale) = (Look::Bubble, 0.8 + 0.3 * (n % 4) as f32);
    }
    for (name, scene) in [
        ("sharp", sharp.clone()),
        ("defocused", scene(|i| 60.0 + 8.0 * (i % 20) as f32)),
        ("motion", motion),
        ("dark", Scene { light: [0.0; 9], ..sharp.clone() }),
        ("bubble", bubble),
    ] {
        let start = Instant::now();
        let picture = render(&scene);
        println!("{name}: {:.1} ms", 1e3 * start.elapsed().as_secs_f64());
        write(&folder.join(format!("{name}.png")), &detail(&picture, 3, scene.width), png::ColorType::Rgb)?;
    }
    if let Pixels::Bayer(raw) = (Scene { format: Format::Bayer12, ..sharp }).develop() {
        let bytes: Vec<u8> = raw.samples.iter().map(|sample| (sample >> 4) as u8).collect();
        write(&folder.join("raw.png"), &detail(&bytes, 1, raw.width), png::ColorType::Grayscale)?;
    }
    Ok(())
}

/// A full frame with particles spread over it like the points of a worn grid.
fn scene(defocus_um: impl Fn(u32) -> f32) -> Scene {
    let particle = |i: u32| Particle {
        look: Look::Vignette(i * 7),
        x_um: 90.0 + 150.0 * (i % 20) as f32 + 37.0 * (i * i % 7) as f32,
        y_um: 85.0 + 185.0 * (i / 20) as f32 + 29.0 * (i * i % 11) as f32,
        follows: 1.0,
        sinks_um: 0.0,
        scale: 1.0,
        orientation: (i % 8) as u8,
        defocus_um: defocus_um(i),
    };
    Scene {
        width: 4056,
        height: 3040,
        um_per_px: 0.75,
        seed: 7,
        format: Format::Rgb,
        light: [1.0; 9],
        flashes: vec![],
        drift_um: [0.0; 9],
        exposure_fraction: 0.0013,
        balance: Settings::default().balance(),
        exposure: 1.0,
        gain: 1.0,
        depth_of_field_um: 95.0,
        particles: (0..240).map(particle).collect(),
    }
}

/// A part of a picture of `channels` bytes a pixel.
fn detail(picture: &[u8], channels: usize, width: u32) -> Vec<u8> {
    let (left, top, wide, high) = DETAIL;
    let lines = picture.chunks_exact(channels * width as usize).skip(top).take(high);
    lines.flat_map(|line| &line[channels * left..][..channels * wide]).copied().collect()
}

fn write(path: &Path, picture: &[u8], colour: png::ColorType) -> Result<(), Box<dyn std::error::Error>> {
    let (_, _, wide, high) = DETAIL;
    let mut encoder =
        png::Encoder::new(std::fs::File::create(path)?, u32::try_from(wide)?, u32::try_from(high)?);
    encoder.set_color(colour);
    encoder.write_header()?.write_image_data(picture)?;
    Ok(())
}
