//! Writes example pictures to the folder given (or the current one), and the time each took.
//!
//! Full frames (`sharp.png`, `defocused.png`, `far.png`, `motion.png`, `dark.png`), a part of each
//! for a closer look (`detail-*.png`), and a tiny one (`small.png`).

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it prints what it measured")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use planktor_sim::plankton::vignettes;
use planktor_sim::render::render;
use planktor_sim::scene::{Format, Look, Particle, Scene};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    let start = Instant::now();
    println!("{} vignettes, {:.1?}", vignettes().len(), start.elapsed());

    let sharp = scene(|_| 0.0);
    let defocused = scene(|i| 40.0 * i as f32 / 8.0);
    let far = scene(|_| 2000.0);
    let moving = Scene {
        drift_um: std::array::from_fn(|i| 60.0 * i as f32),
        exposure_fraction: 0.03,
        ..sharp.clone()
    };
    let dark = Scene { light: [0.0; 9], ..sharp.clone() };
    let small = Scene { width: 128, height: 96, um_per_px: 3042.0 / 128.0, ..sharp.clone() };
    for (name, scene) in [
        ("sharp", sharp),
        ("defocused", defocused),
        ("far", far),
        ("motion", moving),
        ("dark", dark),
        ("small", small),
    ] {
        let picture = timed(name, &scene);
        write(&folder.join(format!("{name}.png")), scene.width, &picture)?;
        if scene.width > 2000 {
            let detail = cut(&picture, scene.width as usize);
            write(&folder.join(format!("detail-{name}.png")), 900, &detail)?;
        }
    }
    Ok(())
}

/// A full frame with sixty particles spread over it like the points of a worn grid.
fn scene(defocus_um: impl Fn(u32) -> f32) -> Scene {
    let particle = |i: u32| Particle {
        look: Look::Vignette(i * 7),
        follows: 1.0,
        sinks_um: 0.0,
        x_um: 180.0 + 300.0 * (i % 10) as f32 + 37.0 * (i * i % 7) as f32,
        y_um: 170.0 + 370.0 * (i / 10) as f32 + 29.0 * (i * i % 11) as f32,
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
        drift_um: [0.0; 9],
        exposure_fraction: 0.0013,
        depth_of_field_um: 95.0,
        particles: (0..60).map(particle).collect(),
    }
}

fn timed(name: &str, scene: &Scene) -> Vec<u8> {
    let mut best = f64::INFINITY;
    let mut picture = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        picture = render(scene);
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name}: {:.2} ms", 1e3 * best);
    picture
}

/// A part of a picture, 900 pixels wide and 700 high.
fn cut(picture: &[u8], width: usize) -> Vec<u8> {
    (picture.chunks_exact(3 * width).skip(900).take(700))
        .flat_map(|line| &line[3 * 1500..][..3 * 900])
        .copied()
        .collect()
}

fn write(path: &Path, width: u32, picture: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let height = (picture.len() / 3) as u32 / width;
    let mut encoder = png::Encoder::new(std::fs::File::create(path)?, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(picture)?;
    Ok(())
}
