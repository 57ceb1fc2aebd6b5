//! Makes up an hour at sea from a seed: a world drawn from its ranges, commands as people and dashboards send them (and
//! as they should not), and things that break. An episode is a scenario like any other, so it can be kept as a file.

use super::draw::Draw;
use crate::sharp::lit;
use planktor_actors::blur;
use planktor_protocol::Instant;
use planktor_protocol::strobe::Cell;
use planktor_protocol::units::Micrometres;
use planktor_runtime::scenario::{Frame, Mischief, Occasion, Said, Scenario, Seconds, When};
use planktor_sim::faults::{Bus, Motor};
use planktor_sim::scene::Format;
use planktor_sim::{Fault, Hat, Parameters, Preset, Settings};
use serde_json::{Value, json};
use std::time::Duration;

/// How long an episode lasts.
pub const LASTS: Duration = Duration::from_secs(3_600);
/// From then on nobody commands and nothing is broken any more.
const QUIET: Duration = Duration::from_secs(3_000);
/// When whatever still runs is stopped.
pub const STOPPED: Duration = Duration::from_secs(3_300);
/// When everything must work again: a last acquisition begins.
pub const AGAIN: Duration = Duration::from_secs(3_400);
/// When the system ends the program.
pub const ENDS: Duration = Duration::from_secs(3_570);
/// The last acquisition's name.
pub const LAST: &str = "last";

/// The episode of a seed.
pub fn episode(seed: u64) -> Scenario {
    let mut draw = Draw::new(seed);
    let parameters = if draw.chance(0.2) { Parameters::default() } else { Parameters::drawn(draw.number()) };
    let mut scenario = Scenario {
        seed,
        hat: *draw.pick(&[Hat::V3_3, Hat::V3_3, Hat::V1_2]),
        preset: *draw.pick(&[Preset::High, Preset::Medium, Preset::Low]),
        format: Format::Blank,
        frame: Frame::try_from(Settings::SMALL_FRAME).expect("a small frame"),
        limit_s: LASTS.into(),
        parameters,
        faults: (0..draw.below(16)).map(|_| mischief(&mut draw)).collect(),
        ..Scenario::default()
    };
    panic_once(&mut scenario.faults);
    let (hat, preset, bears) = (scenario.hat, scenario.preset, bears(&scenario.parameters));
    let mut script = Script { hat, preset, bears, said: vec![], at: Duration::from_secs(1), acquisitions: 0 };
    while script.at < QUIET {
        script.something(&mut draw);
        script.at += pause(&mut draw);
    }
    script.last();
    scenario.messages = script.said;
    scenario
}

/// When a message is said.
pub fn instant(said: &Said) -> Instant {
    Instant::ZERO + said.at_s.duration()
}

/// People press two buttons at once, and go for lunch.
fn pause(draw: &mut Draw) -> Duration {
    match draw.below(4) {
        0 => Duration::ZERO,
        1 => Duration::from_millis(draw.below(500)),
        2 => Duration::from_millis(draw.below(20_000)),
        _ => Duration::from_secs(draw.below(240)),
    }
}

/// A device whose driver panics again and again is given up, rightly, and then does not work again.
fn panic_once(faults: &mut Vec<Mischief>) {
    let mut seen = vec![];
    faults.retain(|mischief| match &mischief.what {
        Fault::DriverPanic(bus) if seen.contains(bus) => false,
        Fault::DriverPanic(bus) => {
            seen.push(*bus);
            true
        }
        _ => true,
    });
}

fn mischief(draw: &mut Draw) -> Mischief {
    let what = fault(draw);
    let longest = if matches!(what, Fault::DriverPanic(_)) { 50 } else { 30_000 };
    let occasions = [
        ("status/pump", "Started"),
        ("status/pump", "Done"),
        ("status/focus", "Started"),
        ("status/imager", "Started"),
        ("status/light", "On"),
    ];
    let when = if draw.chance(0.2) {
        When::AtS(ms(draw.below(u64::try_from(QUIET.as_millis()).unwrap_or(0))))
    } else {
        let (topic, status) = *draw.pick(&occasions);
        let count = u32::try_from(1 + draw.below(30)).unwrap_or(1);
        let delay_s = ms(draw.below(600));
        When::After(Occasion { topic: topic.into(), status: Some(status.into()), count, delay_s })
    };
    Mischief { what, when, for_s: Some(ms(1 + draw.below(longest))) }
}

fn fault(draw: &mut Draw) -> Fault {
    let bus = *draw.pick(&[Bus::Pump, Bus::Focus, Bus::Light]);
    let motor = *draw.pick(&[Motor::Pump, Motor::Focus]);
    match draw.below(24) {
        0 => Fault::BusError(bus),
        1 => Fault::BusGlitch(bus),
        2 => Fault::BusStuck(bus),
        3 => Fault::CablePulled(bus),
        4 => Fault::ChipReset(motor),
        5 => Fault::MotorStalled(motor),
        6 => Fault::MotorSlipping { of: motor, lost: draw.unit() },
        7 => Fault::OpenLoad(motor),
        8 => Fault::OverTemperature(motor),
        9 => Fault::LampShort,
        10 => Fault::LampHot,
        11 => Fault::CameraSilent,
        12 => Fault::FramesLate { by_ms: u32::try_from(draw.below(1_000)).unwrap_or(0) },
        13 => Fault::FramesDuplicated,
        14 => Fault::FramesLost,
        15 => Fault::NoFix,
        16 => Fault::WrongDate("1980-01-06T00:00:00Z".into()),
        17 => Fault::PositionJump { latitude: -89.9 + 179.8 * draw.unit(), longitude: 180.0 * draw.unit() },
        18 => Fault::ClockStep { by_s: 7_200.0 * draw.unit() - 3_600.0 },
        19 => Fault::DiskFull,
        20 => Fault::DiskReadOnly,
        21 => Fault::DiskSlow { times: 1.0 + 9.0 * draw.unit() },
        22 => Fault::DiskFails,
        _ => Fault::DriverPanic(bus),
    }
}

fn ms(ms: u64) -> Seconds {
    Duration::from_millis(ms).into()
}

fn capture(strobe_us: Option<u64>) -> Value {
    strobe_us.map_or(json!({"step": "capture"}), |us| json!({"step": "capture", "strobe_us": us}))
}

/// Of light, us: too short and too long now and then, and for HAT 3.3 more often.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousand")]
fn pulse(draw: &mut Draw) -> u64 {
    draw.between(8.0, 12_000.0).round() as u64
}

/// Settling as long as the water needs; what is impossible now and then.
fn until_still(draw: &mut Draw) -> Value {
    let mut step = json!({"step": "settle_until_still"});
    for (key, most) in [("residual_um", 120.0), ("at_least_s", 1.0), ("at_most_s", 32.0)] {
        if draw.chance(0.5) {
            step[key] = json!(draw.between(0.1, most));
        }
    }
    step
}

/// The fastest ramp that a pump bears, in its driver's unit (AMAX, TMC5160 datasheet section 12.1).
fn bears(parameters: &Parameters) -> f64 {
    let Parameters { pump_most_steps_per_s2, pump_clock_hz, .. } = parameters;
    pump_most_steps_per_s2 * 256.0 * 2f64.powi(41) / pump_clock_hz.powi(2)
}

/// The flow cell's width, um.
const CELL_WIDTH_UM: i64 = 3_500;

/// What is said, as it grows.
struct Script {
    hat: Hat,
    preset: Preset,
    /// The fastest ramp that its pump bears, AMAX.
    bears: f64,
    said: Vec<Said>,
    at: Duration,
    acquisitions: u32,
}

impl Script {
    /// Every message has an id, so that its answers can be told from others.
    fn say(&mut self, topic: &str, mut payload: Value) {
        payload["id"] = json!(self.said.len());
        self.said.push(Said { at_s: self.at.into(), topic: topic.into(), payload });
    }

    fn something(&mut self, draw: &mut Draw) {
        match draw.below(12) {
            0..=2 => self.acquisition(draw),
            3 | 4 => self.stroke(draw),
            5 => self.focus(draw),
            6 => self.stop(draw),
            7 => self.light(draw),
            8 => {
                let watch = json!({"action": "watch", "seconds": draw.below(61)});
                self.say("planktor/preview", watch);
            }
            9 => self.ramp(draw),
            10 => {
                self.acquisition(draw);
                self.at += Duration::from_millis(draw.below(4_000));
                self.stop(draw);
            }
            _ => self.nonsense(draw),
        }
    }

    fn acquisition(&mut self, draw: &mut Draw) {
        self.acquisitions += u32::from(draw.chance(0.9));
        let acq_id = format!("acquisition {}", self.acquisitions);
        self.configure(&acq_id);
        self.at += Duration::from_millis(200 * draw.below(2));
        let settle = *draw.pick(&[0.0, 0.05, 0.5, 1.5, 12.0]);
        let volume = draw.between(0.5, 20.0);
        let flow = draw.between(0.5, 20.0);
        let frames = 1 + draw.below(8);
        if draw.chance(0.4) {
            let image = json!({"action": "image", "pump_direction": "FORWARD", "volume": volume / 1e3,
                "nb_frame": frames, "sleep": settle, "flowrate": flow});
            return self.say("imager/image", image);
        }
        if draw.chance(0.25) {
            return self.flow(draw);
        }
        let capture = capture(draw.chance(0.4).then(|| pulse(draw)));
        let settle = json!({"step": "settle", "seconds": settle});
        let after_pump = if draw.chance(0.4) { until_still(draw) } else { settle.clone() };
        let mut steps =
            vec![json!({"step": "pump", "volume_ul": volume, "flow_ml_per_min": flow}), after_pump];
        if draw.chance(0.4) {
            steps.push(capture.clone());
        }
        for _ in 0..=draw.below(2) {
            let height = draw.between(-300.0, 300.0).round();
            steps.extend([json!({"step": "focus_to", "um": height}), settle.clone(), capture.clone()]);
        }
        steps.push(json!({"step": "write"}));
        self.say("planktor/acquire", json!({"plan": [{"step": "repeat", "times": frames, "steps": steps}]}));
    }

    /// Frames in a flow, as fast as may be and slower, too fast now and then; it may end long before the frames do, or
    /// long after.
    fn flow(&mut self, draw: &mut Draw) {
        let (depth_um, half_a_pixel_nm) = (self.preset.cell_um(), self.preset.pixel_um() * 500.0);
        let us = pulse(draw);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred um and nm")]
        let (cell, most_nm) = (
            Cell { depth: Micrometres(depth_um as i64), width: Micrometres(CELL_WIDTH_UM) },
            half_a_pixel_nm as u128,
        );
        let fastest = blur::fastest(cell, most_nm, lit(self.hat, Duration::from_micros(us))).0.max(1);
        #[expect(clippy::cast_precision_loss, reason = "some microlitres a second")]
        let nl_per_s = fastest as f64 * draw.between(0.2, 1.2);
        let (frames, strokes) = (1 + draw.below(8), 1 + draw.below(2));
        let seconds = draw.between(0.1, 10.0);
        let mut steps = vec![json!({"step": "flow", "volume_ul": nl_per_s * seconds / 1e3,
            "flow_ml_per_min": nl_per_s * 60.0 / 1e6, "cell_um": depth_um, "cell_width_um": CELL_WIDTH_UM})];
        let taken = [capture(Some(us)), json!({"step": "write"})];
        steps.push(json!({"step": "repeat", "times": frames, "steps": taken}));
        if draw.chance(0.3) {
            steps.extend([json!({"step": "settle", "seconds": 0.5}), taken[0].clone(), taken[1].clone()]);
        }
        self.say("planktor/acquire", json!({"plan": [{"step": "repeat", "times": strokes, "steps": steps}]}));
    }

    /// Whoever keeps a ramp has seen that the pump bears it; trials are there to find that out.
    fn ramp(&mut self, draw: &mut Draw) {
        let order = match draw.below(4) {
            0 => json!({"action": "get-ramp"}),
            1 => {
                let amax = draw.between(1_000.0, (0.9 * self.bears).min(30_000.0)).round();
                let fastest = (amax * draw.between(0.8, 1.5)).clamp(1_000.0, 30_000.0).round();
                let timid = draw.between(0.5, 2.0);
                let fast = timid * draw.between(0.95, 1.05);
                json!({"action": "set-ramp", "amax": amax, "fastest_amax": fastest, "timid_ml": timid, "fast_ml": fast})
            }
            _ => {
                let amax = draw.between(800.0, 33_000.0).round();
                let direction = *draw.pick(&["FORWARD", "BACKWARD"]);
                json!({"action": "try", "direction": direction, "volume": draw.between(0.5, 20.0) / 1e3,
                    "flowrate": draw.between(0.5, 20.0), "amax": amax})
            }
        };
        self.say("actuator/pump", order);
    }

    fn configure(&mut self, acq_id: &str) {
        let config = json!({"object_date": "2026-06-01", "sample_id": "sample 1", "acq_id": acq_id});
        self.say("imager/image", json!({"action": "update_config", "config": config}));
    }

    fn stroke(&mut self, draw: &mut Draw) {
        let volume = *draw.pick(&[0.001, 0.01, 0.1, 1.0]) * draw.between(0.5, 5.0);
        let direction = *draw.pick(&["FORWARD", "FORWARD", "BACKWARD"]);
        let flow = draw.between(0.2, 20.0);
        let stroke = json!({"action": "move", "direction": direction, "volume": volume, "flowrate": flow});
        self.say("actuator/pump", stroke);
    }

    fn focus(&mut self, draw: &mut Draw) {
        let distance = *draw.pick(&[0.01, 0.1, 1.0, 20.0]) * draw.between(0.5, 2.0);
        let (direction, speed) = (*draw.pick(&["UP", "DOWN"]), draw.between(0.2, 5.0));
        let order = json!({"action": "move", "direction": direction, "distance": distance, "speed": speed});
        self.say("actuator/focus", order);
    }

    fn stop(&mut self, draw: &mut Draw) {
        let topic = *draw.pick(&["actuator/pump", "actuator/focus", "imager/image"]);
        self.say(topic, json!({"action": "stop"}));
    }

    fn light(&mut self, draw: &mut Draw) {
        let order = match draw.below(4) {
            0 => json!({"action": "off"}),
            1 => json!({"action": "status"}),
            2 => json!({"action": "on", "value": draw.unit()}),
            _ => json!({"action": "on"}),
        };
        self.say("light", order);
    }

    fn nonsense(&mut self, draw: &mut Draw) {
        let topic =
            *draw.pick(&["actuator/pump", "actuator/focus", "light", "imager/image", "planktor/acquire"]);
        let order = match draw.below(6) {
            0 => json!({}),
            1 => json!({"action": "dance"}),
            2 => json!({"action": "move", "direction": "SIDEWAYS", "volume": 1, "flowrate": 1}),
            3 => json!({"action": "move", "direction": "UP", "distance": 91.0}),
            4 => {
                json!({"action": "image", "pump_direction": "FORWARD", "volume": -1, "nb_frame": 0, "sleep": -1})
            }
            _ => {
                json!({"action": "update_config", "config": {"object_date": "../..", "sample_id": 5, "acq_id": "/"}})
            }
        };
        self.say(topic, order);
    }

    /// Light, a configuration and one frame, when nothing is broken any more.
    fn last(&mut self) {
        self.at = STOPPED;
        self.say("imager/image", json!({"action": "stop"}));
        self.at = AGAIN;
        self.say("light", json!({"action": "on"}));
        self.configure(LAST);
        self.at += Duration::from_millis(200);
        let image = json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.006, "nb_frame": 1,
            "sleep": 0.5, "flowrate": 3});
        self.say("imager/image", image);
    }
}
