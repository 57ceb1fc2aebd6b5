//! What a rendered picture must look like, in numbers.

use super::*;
use crate::scene::Format;
use planktor_protocol::camera::{Balance, Settings};

/// A small picture of the usual field of view, without particles.
fn water() -> Scene {
    Scene {
        width: 400,
        height: 300,
        um_per_px: 7.6,
        seed: 1,
        format: Format::Rgb,
        light: [1.0; 9],
        drift_um: [0.0; 9],
        flashes: vec![],
        exposure_fraction: 0.0013,
        balance: Settings::default().balance(),
        exposure: 1.0,
        gain: 1.0,
        depth_of_field_um: 95.0,
        particles: Vec::new(),
    }
}

/// The largest particle, an air bubble of 230 um, in the middle of the picture.
fn bubble() -> Particle {
    let area = |i: &usize| vignettes()[*i].transmittance.len();
    let largest = (0..vignettes().len()).max_by_key(area);
    Particle {
        look: Look::Vignette(largest.expect("there are vignettes") as u32),
        follows: 1.0,
        sinks_um: 0.0,
        x_um: 1520.0,
        y_um: 1140.0,
        scale: 1.0,
        orientation: 0,
        defocus_um: 0.0,
    }
}

fn with(particles: &[Particle]) -> Scene {
    Scene { particles: particles.to_vec(), ..water() }
}

/// Green light missing in each pixel compared with the same picture without particles.
fn shadow(scene: &Scene) -> Vec<f32> {
    let empty = Scene { particles: Vec::new(), ..scene.clone() };
    (render(&empty).iter().zip(&render(scene)))
        .map(|(&clear, &dimmed)| f32::from(clear) - f32::from(dimmed))
        .skip(1)
        .step_by(3)
        .collect()
}

/// Centre of gravity of a shadow, and its spread (standard deviation) along x and y, in pixels.
fn shape(shadow: &[f32], width: usize) -> ([f32; 2], [f32; 2]) {
    let place = |i: usize| [(i % width) as f32 + 0.5, (i / width) as f32 + 0.5];
    let dark: Vec<_> = (shadow.iter().enumerate())
        .filter(|(_, depth)| **depth > 10.0)
        .map(|(i, &depth)| (place(i), depth))
        .collect();
    let total: f32 = dark.iter().map(|(_, depth)| depth).sum();
    let mean = |value: &dyn Fn([f32; 2]) -> f32| {
        dark.iter().map(|&(at, depth)| depth * value(at)).sum::<f32>() / total
    };
    let centre = [mean(&|at| at[0]), mean(&|at| at[1])];
    let spread = [0, 1].map(|axis| mean(&|at| (at[axis] - centre[axis]).powi(2)).sqrt());
    (centre, spread)
}

/// Steepest change from one pixel to the next along the lines.
fn steepest(shadow: &[f32], width: usize) -> f32 {
    (shadow.chunks_exact(width))
        .flat_map(|line| line.windows(2).map(|pair| (pair[1] - pair[0]).abs()))
        .fold(0.0, f32::max)
}

#[test]
fn equal_scenes_give_equal_bytes() {
    let scene = with(&[bubble()]);
    assert_eq!(render(&scene), render(&scene.clone()));
}

#[test]
fn a_picture_has_three_bytes_for_each_pixel() {
    assert_eq!(render(&with(&[bubble()])).len(), 400 * 300 * 3);
    let empty = Scene { width: 0, ..with(&[bubble()]) };
    assert!(render(&empty).is_empty());
}

#[test]
fn another_seed_gives_other_noise_on_the_same_picture() {
    let other = Scene { seed: 2, ..water() };
    let (one, other) = (render(&water()), render(&other));
    assert_ne!(one, other);
    let apart = one.iter().zip(&other).map(|(a, b)| a.abs_diff(*b));
    assert!(apart.max() < Some(20));
}

#[test]
fn no_light_is_dark() {
    let dark = render(&Scene { light: [0.0; 9], ..with(&[bubble()]) });
    assert!(dark.iter().all(|&sample| sample < 10));
    assert!(dark.iter().any(|&sample| sample != dark[0]), "no noise");
}

#[test]
fn the_light_is_warm_and_falls_off_towards_the_corners() {
    let picture = render(&water());
    let mean = |x: usize, y: usize, channel: usize| {
        let samples = (y..y + 20).flat_map(|y| (x..x + 20).map(move |x| 3 * (y * 400 + x)));
        samples.map(|i| f32::from(picture[i + channel])).sum::<f32>() / 400.0
    };
    assert!(mean(190, 140, 0) > mean(190, 140, 2) + 5.0);
    assert!(mean(190, 140, 1) > mean(0, 0, 1) + 10.0);
    assert!((mean(0, 0, 1) - mean(380, 280, 1)).abs() < 1.5);
}

#[test]
fn a_defocused_particle_has_weaker_gradients_but_absorbs_as_much() {
    let far = Particle { defocus_um: -900.0, ..bubble() };
    let (sharp, blurred) = (shadow(&with(&[bubble()])), shadow(&with(&[far])));
    assert!(steepest(&blurred, 400) < 0.5 * steepest(&sharp, 400));
    let (sharp, blurred): (f32, f32) = (sharp.iter().sum(), blurred.iter().sum());
    assert!((blurred / sharp - 1.0).abs() < 0.02, "{sharp} {blurred}");
}

#[test]
fn within_the_depth_of_field_a_particle_is_sharp() {
    let near = Particle { defocus_um: 47.0, ..bubble() };
    assert_eq!(render(&with(&[near])), render(&with(&[bubble()])));
}

#[test]
fn moving_a_particle_by_pixels_moves_its_shadow_by_as_many() {
    let moved = Particle { x_um: 1520.0 + 10.0 * 7.6, y_um: 1140.0 - 5.0 * 7.6, ..bubble() };
    let (from, _) = shape(&shadow(&with(&[bubble()])), 400);
    let (to, _) = shape(&shadow(&with(&[moved])), 400);
    assert!((to[0] - from[0] - 10.0).abs() < 0.1, "{from:?} {to:?}");
    assert!((to[1] - from[1] + 5.0).abs() < 0.1, "{from:?} {to:?}");
}

#[test]
fn water_at_rest_neither_moves_nor_shears_a_particle() {
    let rest = Scene { exposure_fraction: 1.0, ..with(&[bubble()]) };
    assert_eq!(render(&rest), render(&with(&[bubble()])));
}

#[test]
fn drift_shears_a_particle_because_later_lines_see_it_further_on() {
    let mut moving = with(&[bubble()]);
    moving.drift_um = std::array::from_fn(|i| 250.0 * i as f32);
    let shadow = shadow(&moving);
    let centre_of = |y: usize| {
        let line = &shadow[400 * y..400 * (y + 1)];
        shape(line, 400).0[0]
    };
    let pixels_per_line = 8.0 * 250.0 / 7.6 / 300.0;
    let moved = centre_of(160) - centre_of(140);
    assert!((moved - 20.0 * pixels_per_line).abs() < 1.0, "{moved}");
    assert!((centre_of(150) - 200.0 - 150.0 * pixels_per_line).abs() < 1.0);
}

#[test]
fn a_long_exposure_smears_a_moving_particle_along_the_flow() {
    let drift_um = std::array::from_fn(|i| 100.0 * i as f32);
    let short = Scene { drift_um, ..with(&[bubble()]) };
    let long = Scene { exposure_fraction: 0.5, ..short.clone() };
    let (short, long) = (shadow(&short), shadow(&long));
    let ((before, narrow), (after, wide)) = (shape(&short, 400), shape(&long, 400));
    let smear = 0.5 * 8.0 * 100.0 / 7.6;
    assert!((after[0] - before[0] - 0.5 * smear).abs() < 1.0);
    assert!(wide[0] > 1.2 * narrow[0], "{narrow:?} {wide:?}");
    assert!((wide[1] / narrow[1] - 1.0).abs() < 0.05, "{narrow:?} {wide:?}");
    let (short, long): (f32, f32) = (short.iter().sum(), long.iter().sum());
    assert!((long / short - 1.0).abs() < 0.02, "{short} {long}");
}

#[test]
fn water_flowing_back_smears_the_other_way() {
    let forth = Scene {
        drift_um: std::array::from_fn(|i| 100.0 * i as f32),
        exposure_fraction: 0.1,
        ..with(&[bubble()])
    };
    let back = Scene { drift_um: forth.drift_um.map(|um| -um), ..forth.clone() };
    let middle = |scene| shape(&shadow(scene), 400).0[0] - 200.0;
    assert!((middle(&forth) + middle(&back)).abs() < 1.0);
}

#[test]
fn small_pictures_show_the_same_field_of_view() {
    let small = Scene { width: 128, height: 96, um_per_px: 3042.0 / 128.0, ..with(&[bubble()]) };
    let (small_centre, small_spread) = shape(&shadow(&small), 128);
    let (centre, spread) = shape(&shadow(&with(&[bubble()])), 400);
    let enlarged = 3042.0 / 128.0 / 7.6;
    for axis in [0, 1] {
        let apart = small_centre[axis] * enlarged - centre[axis];
        assert!(apart.abs() < 0.5, "{apart} along {axis}");
    }
    let ratio = small_spread[0] / spread[0];
    assert!((ratio * enlarged - 1.0).abs() < 0.1, "{ratio}");
}

#[test]
fn scale_changes_the_absorbed_light_with_its_square() {
    let twice = Particle { scale: 2.0, ..bubble() };
    let absorbed = |particle| shadow(&with(&[particle])).iter().sum::<f32>();
    let ratio = absorbed(twice) / absorbed(bubble());
    assert!((ratio - 4.0).abs() < 0.1, "{ratio}");
}

#[test]
fn all_eight_orientations_differ_and_four_turns_agree_on_the_size() {
    let drawings = [0, 1, 2, 3, 4, 5, 6, 7].map(|orientation| {
        let particle = Particle { orientation, ..bubble() };
        let Look::Vignette(index) = particle.look else { unreachable!("it is a vignette") };
        let vignette = &vignettes()[index as usize];
        Drawing::new(vignette, &particle, 0.75)
    });
    for (i, one) in drawings.iter().enumerate() {
        for other in &drawings[i + 1..] {
            assert_ne!(one.absorbed, other.absorbed);
        }
    }
    assert_eq!(drawings[0].width, drawings[1].height);
    assert_eq!(drawings[0].width, drawings[6].width);
}

#[test]
fn a_quarter_turn_is_clockwise() {
    let vignette = Vignette { width: 2, height: 1, um_per_px: 1.0, transmittance: vec![[0.0; 3], [1.0; 3]] };
    let turned = Particle { orientation: 1, ..bubble() };
    let left_is_now_top = [[1.0; 3], [0.0; 3]];
    let drawing = Drawing::new(&vignette, &turned, 1.0);
    assert_eq!(drawing.absorbed, left_is_now_top);
}

#[test]
fn particles_outside_or_nowhere_leave_clear_water() {
    let mut moving = water();
    moving.drift_um = std::array::from_fn(|i| 10.0 * i as f32);
    for (x_um, y_um) in
        [(-900.0, 1140.0), (1520.0, -900.0), (1e30, 0.0), (0.0, 1e30), (f32::NAN, 0.0), (0.0, f32::NAN)]
    {
        let particles = vec![Particle { x_um, y_um, ..bubble() }];
        let scene = Scene { particles, ..moving.clone() };
        assert_eq!(render(&scene), render(&moving), "{x_um} {y_um}");
    }
}

#[test]
fn particles_at_every_edge_are_cut_off_there() {
    for (x_um, y_um) in [(0.0, 1140.0), (3040.0, 1140.0), (1520.0, 0.0), (1520.0, 2280.0)] {
        let edge = Particle { x_um, y_um, ..bubble() };
        let absorbed = |particle| shadow(&with(&[particle])).iter().sum::<f32>();
        let ratio = absorbed(edge) / absorbed(bubble());
        assert!((0.3..0.6).contains(&ratio), "{ratio} at {x_um}, {y_um}");
    }
}

/// Mean and standard deviation of the green samples of a block in the middle.
fn block(picture: &[u8]) -> (f32, f32) {
    let samples: Vec<_> = (130..170)
        .flat_map(|y| (180..220).map(move |x| 3 * (y * 400 + x) + 1))
        .map(|i| f32::from(picture[i]))
        .collect();
    let mean = samples.iter().sum::<f32>() / samples.len() as f32;
    let variance = samples.iter().map(|s| (s - mean) * (s - mean)).sum::<f32>() / samples.len() as f32;
    (mean, variance.sqrt())
}

#[test]
fn a_longer_exposure_is_brighter_and_a_higher_gain_is_noisier_at_the_same_light() {
    let (usual, noise) = block(&render(&water()));
    let half = Scene { light: [0.5; 9], ..water() };
    let (longer, _) = block(&render(&Scene { exposure: 2.0, ..half.clone() }));
    assert!((longer - usual).abs() < 1.0, "twice as long at half the light: {longer}, {usual}");
    let quarter = Scene { light: [0.25; 9], ..water() };
    let (same, noisier) = block(&render(&Scene { gain: 4.0, ..quarter }));
    assert!((same - usual).abs() < 1.0);
    let expected = |gain: f32| ((READ_NOISE * gain).powi(2) + SHOT_NOISE * gain * WATER[1]).sqrt();
    assert!((noise / expected(1.0) - 1.0).abs() < 0.06, "{noise} instead of {}", expected(1.0));
    assert!((noisier / expected(4.0) - 1.0).abs() < 0.06, "{noisier} instead of {}", expected(4.0));
}

#[test]
fn too_much_light_is_white_and_no_more() {
    let picture = render(&Scene { exposure: 50.0, ..water() });
    assert!(picture.iter().all(|sample| *sample == 255));
}

#[test]
fn a_lamp_that_flickers_shows_as_bands_because_lines_see_it_at_other_times() {
    let mut light = [1.0; 9];
    light[2] = 0.5;
    let picture = render(&Scene { light, ..water() });
    let line = |y: usize| (0..400).map(|x| f32::from(picture[3 * (y * 400 + x) + 1])).sum::<f32>() / 400.0;
    let (band, above, below) = (line(75), line(20), line(150));
    assert!(band < 0.6 * above && band < 0.6 * below, "{band} between {above} and {below}");
}

#[test]
fn what_sinks_is_stretched_downwards_and_what_sticks_does_not_move() {
    let sinking = Particle { sinks_um: 1_000.0, y_um: 800.0, ..bubble() };
    let (from, still) = shape(&shadow(&with(&[Particle { y_um: 800.0, ..bubble() }])), 400);
    let (to, stretched) = shape(&shadow(&with(&[sinking])), 400);
    // It is met by the lines at the time t at which it has sunk to them: y = y0 + s t, t = y / height.
    let expected = from[1] / (1.0 - 1_000.0 / 7.6 / 300.0);
    assert!((to[1] - expected).abs() < 2.0, "{} instead of {expected}", to[1]);
    assert!(stretched[1] > 1.3 * still[1], "{stretched:?} {still:?}");
    let mut flowing = with(&[Particle { follows: 0.0, ..bubble() }]);
    flowing.drift_um = std::array::from_fn(|i| 250.0 * i as f32);
    assert_eq!(render(&flowing), render(&Scene { drift_um: [0.0; 9], ..flowing.clone() }));
    let half = Scene { particles: vec![Particle { follows: 0.5, ..bubble() }], ..flowing.clone() };
    let slower =
        Scene { particles: vec![bubble()], drift_um: flowing.drift_um.map(|um| um / 2.0), ..flowing };
    assert_eq!(render(&half), render(&slower));
}

#[test]
fn an_air_bubble_is_a_dark_ring_around_light() {
    let scene = Scene { width: 400, height: 300, um_per_px: 1.0, ..water() };
    let air = Particle { look: Look::Bubble, x_um: 200.0, y_um: 150.0, ..bubble() };
    let picture = render(&Scene { particles: vec![air], ..scene });
    let at = |x: usize| f32::from(picture[3 * (150 * 400 + x) + 1]);
    let (centre, rim, outside) = (at(200), at(160), at(120));
    assert!(rim < 0.3 * outside && centre > 0.8 * outside, "{centre} {rim} {outside}");
}

#[test]
fn a_shallow_preset_blurs_what_a_deep_one_shows_sharply() {
    let close = Scene { um_per_px: 1.0, ..water() };
    let near = Particle { defocus_um: 40.0, x_um: 200.0, y_um: 150.0, ..bubble() };
    let near = Scene { particles: vec![near], ..close };
    let shallow = Scene { depth_of_field_um: 20.0, ..near.clone() };
    assert!(steepest(&shadow(&shallow), 400) < 0.9 * steepest(&shadow(&near), 400));
}

#[test]
fn the_sensors_own_samples_are_linear_above_their_black_level() {
    let scene = Scene { format: Format::Bayer12, ..with(&[bubble()]) };
    let Pixels::Bayer(mosaic) = scene.develop() else { panic!("that is what was asked") };
    assert_eq!((mosaic.samples.len(), mosaic.black, mosaic.white()), (400 * 300, 256, 4_095));
    assert_eq!(mosaic.balance, Balance::Gains { red: 1_990, blue: 1_650 });
    let Pixels::Bayer(dark) = Scene { light: [0.0; 9], ..scene.clone() }.develop() else {
        panic!("no mosaic")
    };
    assert!(dark.samples.iter().all(|sample| (256..300).contains(sample)));
    let mean = |light: f32| {
        let Pixels::Bayer(mosaic) = Scene { light: [light; 9], particles: vec![], ..scene.clone() }.develop()
        else {
            panic!("no mosaic")
        };
        mosaic.samples.iter().map(|sample| f32::from(*sample) - 256.0).sum::<f32>()
            / mosaic.samples.len() as f32
    };
    // What is shown has a gamma of two, so half of what is shown is a quarter of the light.
    assert!((mean(1.0) / mean(0.5) - 4.0).abs() < 0.2, "{} {}", mean(1.0), mean(0.5));
}

#[test]
fn a_camera_can_encode_by_itself_or_not_render_at_all() {
    let Pixels::Jpeg(bytes) = Scene { format: Format::Jpeg, ..water() }.develop() else { panic!("no JPEG") };
    assert!(bytes.starts_with(&[0xFF, 0xD8]) && bytes.ends_with(&[0xFF, 0xD9]));
    let Pixels::Rgb(blank) = Scene { format: Format::Blank, ..water() }.develop() else {
        panic!("no picture")
    };
    assert_eq!((blank.width, blank.height, blank.rgb.len()), (8, 8, 192));
}

#[test]
fn a_small_picture_shows_the_same_in_larger_pixels() {
    let scene = Scene { width: 1_200, height: 900, um_per_px: 7.6 / 3.0, ..with(&[bubble()]) };
    let small = scene.small(400 * 300).expect("it is drawn");
    assert_eq!((small.width, small.height), (400, 300));
    let ([x, y], [wide, _]) = shape(&shadow(&scene), 1_200);
    let ([small_x, small_y], [small_wide, _]) = shape(&shadow(&with(&[bubble()])), 400);
    assert_eq!(small.rgb, render(&Scene { um_per_px: 7.6, ..with(&[bubble()]) }));
    let apart = [x / 3.0 - small_x, y / 3.0 - small_y, wide / 3.0 - small_wide];
    assert!(apart.iter().all(|pixels| pixels.abs() < 0.5), "{apart:?} pixels apart");
    assert!(scene.small(1_200 * 900).is_none(), "it is no smaller");
}

/// A frame of 100 ms of exposure and 87 ms of read-out with water at 1 m/s, lit for a short while.
fn flashed_scene(from_ms: f64, to_ms: f64) -> Scene {
    let part = |ms: f64| ms / 187.0;
    let flash = crate::scene::Flash {
        from: part(from_ms),
        up: part(from_ms + 0.01),
        falls: part(to_ms),
        to: part(to_ms + 0.01),
        level: 1.0,
        drift_um: [0.0, 0.0],
    };
    Scene {
        light: [0.0; 9],
        flashes: vec![flash],
        drift_um: std::array::from_fn(|i| 23_375.0 * i as f32),
        exposure_fraction: 100.0 / 187.0,
        exposure: 100.0 / 0.114,
        ..Scene { particles: vec![bubble()], ..water() }
    }
}

#[test]
fn a_flash_is_the_same_for_all_lines_and_stops_what_moves() {
    let whole = flashed_scene(90.0, 90.114);
    let still =
        Scene { light: [1.0; 9], flashes: vec![], drift_um: [0.0; 9], exposure: 1.0, ..whole.clone() };
    let (flashed, still) = (render(&whole), render(&still));
    let apart = flashed.iter().zip(&still).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(apart <= Some(1), "no shear, no smear, and as bright as 114 us of full light: {apart:?}");
}

#[test]
fn a_flash_that_is_not_all_within_a_lines_exposure_gives_it_what_is() {
    let flash = &flashed_scene(50.0, 51.0).flashes[0];
    let (from, to) = (49.9 / 187.0, 51.2 / 187.0);
    // By adding up small steps.
    let level = |at: f64| match at {
        at if at < flash.from || at > flash.to => 0.0,
        at if at < flash.up => (at - flash.from) / (flash.up - flash.from),
        at if at > flash.falls => (flash.to - at) / (flash.to - flash.falls),
        _ => 1.0,
    };
    for (a, b) in
        [(from, to), (from, 50.004 / 187.0), (50.3 / 187.0, 50.31 / 187.0), (51.005 / 187.0, to), (0.0, from)]
    {
        let n = 100_000;
        let step = (b - a) / f64::from(n);
        let sum: f64 = (0..n).map(|i| level(a + (f64::from(i) + 0.5) * step) * step).sum();
        assert!((flash.light(a, b) - sum).abs() < 1e-9, "{a} to {b}");
    }
    // The last line opens after 87 ms.
    let picture = render(&flashed_scene(50.0, 51.0));
    let samples = 3 * water().width as usize;
    let mean = |line: &[u8]| line.iter().map(|byte| f64::from(*byte)).sum::<f64>() / line.len() as f64;
    let (first, last) = (mean(&picture[..samples]), mean(&picture[picture.len() - samples..]));
    assert!(first > 150.0 && last < 10.0, "{first} {last}");
}
