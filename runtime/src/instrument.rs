//! Threads and wiring: the one place where a board, a clock and a disk become an instrument.
//!
//! In real time the hardware thread and the slow buses' thread are two arbiters; in virtual time they are one loop.
//! Nothing else differs.

use crate::careful::Careful;
use crate::dataset;
use crate::machine;
use crate::metrics::Metrics;
use crate::shelf::{Loaded, Shelf};
use crate::stillness::Student;
use actix::{Actor, Arbiter, ArbiterHandle, AsyncContext, Recipient};
use planktor_actors::alarm::{self, Alarms, VirtualClock};
use planktor_actors::beside::{Hand, Model, Worker};
use planktor_actors::bubbler::Bubbles;
use planktor_actors::camera::Eye;
use planktor_actors::diag::{Diag, Say};
use planktor_actors::display::Sign;
use planktor_actors::eeprom::Nameplate;
use planktor_actors::heart::{Beat, Heart};
use planktor_actors::host::{Host, Noted, Reopen};
use planktor_actors::intake::{Gate, Intake, intake};
use planktor_actors::journal::Journal;
use planktor_actors::light::Lamp;
use planktor_actors::motor::Drive;
use planktor_actors::outlet::{Answers, Outlet, Room, outlet};
use planktor_actors::port::Port;
use planktor_actors::position::Position;
use planktor_actors::recording::{Encode, Encoded, Pipeline, Record, Recorded};
use planktor_actors::settling::{Studied, Study};
use planktor_actors::supervisor::{Parts, Supervisor};
use planktor_actors::timekeeping::{Clocks, Known, Timekeeping};
use planktor_actors::timing::{Stage, Timings};
use planktor_actors::viewfinder::Viewfinder;
use planktor_drivers::board::{Board, Hardware};
use planktor_drivers::calibration::{Calibration, Current};
use planktor_drivers::clock::TrackingSource;
use planktor_drivers::devices::bubbler::Bubbler;
use planktor_drivers::devices::display::Display;
use planktor_drivers::devices::eeprom::Eeprom;
use planktor_drivers::devices::focus::{Focus, Height};
use planktor_drivers::devices::light::Light;
use planktor_drivers::devices::oscillator::Oscillator;
use planktor_drivers::devices::position::PositionSource;
use planktor_drivers::devices::pump::Pump;
use planktor_drivers::devices::rtc::Rtc;
use planktor_drivers::disk::Disk;
use planktor_drivers::scheduling::{self, Scheduled};
use planktor_drivers::stop::StopLine;
use planktor_protocol::instrument::Device;
use planktor_protocol::timekeeping::NOT_BEFORE;
use planktor_protocol::{Report, Utc, bubbler, display, eeprom, light};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Commands that may wait at the intake.
const COMMANDS: usize = 256;
/// Answers that may wait for the outside.
const ANSWERS: usize = 1024;
/// Frames that may wait for an encoder, and jobs for the recorder: more than the camera's pool ever has out.
const JOBS: usize = 16;

/// Room for the system's logs and everything else that must go on when a disk is full.
pub const KEPT_FREE: u64 = 100_000_000;

/// Which time it runs in.
#[derive(Clone)]
pub enum Time {
    /// The world's.
    Real,
    /// As fast as it goes; the twin has the same clock.
    Virtual(VirtualClock),
}

/// How long work takes in virtual time.
#[derive(Clone)]
pub struct Models {
    /// Rendering and encoding.
    pub encoding: Model<Encode>,
    /// A look at frames that are perhaps not kept.
    pub studying: Model<Study>,
    /// A job of the recorder.
    pub recording: Model<Record>,
}

impl Default for Models {
    /// It takes no time.
    fn default() -> Self {
        Self {
            encoding: Arc::new(|_| Duration::ZERO),
            studying: Arc::new(|_| Duration::ZERO),
            recording: Arc::new(|_| Duration::ZERO),
        }
    }
}

/// Makes the position source on the thread where it lives.
pub type MakePosition = Box<dyn FnOnce() -> Box<dyn PositionSource> + Send>;

/// Makes the one who knows how well the computer's clock is kept, on the thread where that one lives.
pub type MakeTracking = Box<dyn FnOnce() -> Box<dyn TrackingSource> + Send>;

/// Everything that makes one instrument.
pub struct Config {
    /// The hardware, real or not.
    pub board: Arc<dyn Board>,
    /// Its name, for the metadata.
    pub board_name: &'static str,
    /// The computer's serial number, if it has one.
    pub serial: Option<Arc<str>>,
    /// The machine's name.
    pub name: Arc<str>,
    /// Its constants, where `hardware.json` says nothing.
    pub calibration: Calibration,
    /// Which time.
    pub time: Time,
    /// How long work takes; used in virtual time only.
    pub models: Models,
    /// Where data sets go.
    pub disk: Box<dyn Disk>,
    /// Their root.
    pub data: PathBuf,
    /// Bytes on that disk that no frame may take.
    pub kept_free: u64,
    /// Where `hardware.json` is, if not there.
    pub hardware: Option<PathBuf>,
    /// Encoder threads.
    pub encoders: usize,
    /// Instead of the board's own position.
    pub position: Option<MakePosition>,
    /// Who keeps the computer's clock right, instead of the board's own.
    pub tracking: Option<MakeTracking>,
    /// No clock is believed that says less.
    pub not_before: Utc,
    /// What is counted and timed.
    pub metrics: Metrics,
    /// Who looks through the camera.
    pub viewfinder: Viewfinder,
    /// What happened.
    pub journal: Journal,
    /// Whether the hardware thread asks for real-time priority; not in virtual time.
    pub real_time: bool,
    /// Who wants to know that the hardware thread lives; in real time.
    pub heart: Option<Beat>,
    /// Says what somebody should know of the hardware, and is never waited for.
    pub say: Say,
}

impl Config {
    /// With the board's own constants and position, and nothing journalled.
    pub fn new(
        board: Arc<dyn Board>,
        board_name: &'static str,
        time: Time,
        disk: Box<dyn Disk>,
        data: PathBuf,
    ) -> Self {
        let encoders = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(2);
        Self {
            board,
            board_name,
            serial: None,
            name: machine::UNKNOWN.into(),
            calibration: Calibration::V3_0,
            time,
            models: Models::default(),
            disk,
            data,
            kept_free: KEPT_FREE,
            hardware: None,
            encoders,
            position: None,
            tracking: None,
            not_before: NOT_BEFORE,
            metrics: Metrics::default(),
            viewfinder: Viewfinder::default(),
            journal: Journal::default(),
            real_time: false,
            heart: None,
            say: Arc::new(|_| ()),
        }
    }
}

/// Why an instrument cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No threads or timers.
    #[error(
        "the instrument's threads cannot be started: {0}; free memory or raise the limit of threads and files"
    )]
    Threads(#[from] io::Error),
    /// What is kept from one start to the next.
    #[error("{0}")]
    Kept(String),
}

/// A running instrument.
pub struct Instrument {
    /// The way in.
    pub gate: Gate,
    /// The hardware thread; virtual time's only one.
    pub hardware: Arbiter,
    /// What the hardware thread was given, if it asked.
    pub scheduled: Option<Scheduled>,
    slow: Option<Arbiter>,
}

impl Instrument {
    /// Starts it. Needs an actix system on the calling thread.
    ///
    /// # Errors
    /// The system has no thread or timer for us, or a file that is kept says what cannot be.
    pub fn start(mut config: Config) -> Result<(Self, Answers), StartError> {
        let shelf = Shelf::new(config.data.clone(), config.board_name, config.hardware.take());
        let disk = Careful(config.disk);
        let loaded = shelf.load(&disk, config.calibration).map_err(StartError::Kept)?;
        config.disk = disk.0;
        let stop = StopLine::default();
        let (gate, intake) = intake(COMMANDS, &stop);
        let (outlet, answers, room) = outlet(ANSWERS);
        let hardware = arbiter(&config.time);
        let slow = match config.time {
            Time::Real => Some(arbiter(&config.time)),
            Time::Virtual(_) => None,
        };
        let slow_handle = slow.as_ref().map_or_else(|| hardware.handle(), Arbiter::handle);
        let (started, start) = crossbeam_channel::bounded(2);
        if let Some(slow) = &slow {
            let (time, started) = (config.time.clone(), started.clone());
            slow.spawn_fn(move || {
                let built = start_alarms(time, Journal::default(), Timings::default());
                drop(started.send(built.map(|()| None)));
            });
        }
        let asks = config.real_time && matches!(config.time, Time::Real);
        let memory = asks.then(scheduling::lock_memory);
        hardware.spawn_fn(move || {
            let timings = config.metrics.timings().clone();
            let built = start_alarms(config.time.clone(), config.journal.clone(), timings);
            let built = built
                .and_then(|()| build(config, stop, (shelf, loaded), (intake, room), outlet, &slow_handle));
            // After it has started its workers, which are ordinary threads.
            let _ = started.send(built.map(|()| asks.then(|| scheduling::real_time(scheduling::PRIORITY))));
        });
        let mut thread = None;
        for _ in 0..=usize::from(slow.is_some()) {
            let ended = |_| io::Error::other("the hardware thread ended at its start");
            thread = thread.or(start.recv().map_err(ended)??);
        }
        let scheduled = thread.zip(memory).map(|(thread, memory)| Scheduled { thread, memory });
        Ok((Self { gate, hardware, scheduled, slow }, answers))
    }

    /// Ends its threads.
    pub fn end(self) {
        for arbiter in [Some(self.hardware), self.slow].into_iter().flatten() {
            arbiter.stop();
            // A panic of that thread was reported by the panic hook; there is nothing left to stop.
            let _ = arbiter.join();
        }
    }
}

/// A thread with a loop of its own, in this time.
pub(crate) fn arbiter(time: &Time) -> Arbiter {
    let virtual_time = matches!(time, Time::Virtual(_));
    Arbiter::with_tokio_rt(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_io();
        if virtual_time {
            builder.on_thread_park(alarm::jump);
        }
        builder.build().expect("the system has an epoll for us")
    })
}

fn start_alarms(time: Time, journal: Journal, timings: Timings) -> io::Result<()> {
    match time {
        Time::Real => Alarms::start_real(journal, timings),
        Time::Virtual(clock) => {
            Alarms::start_virtual(clock, journal, timings);
            Ok(())
        }
    }
}

/// On the hardware thread.
fn build(
    config: Config,
    stop: StopLine,
    (shelf, Loaded { calibration, memory, protocols }): (Shelf, Loaded),
    (intake, room): (Intake, Room),
    outlet: Outlet,
    slow: &ArbiterHandle,
) -> io::Result<()> {
    let instrument = dataset::Instrument {
        board: config.board_name,
        name: (*config.name != *machine::UNKNOWN).then(|| config.name.clone()),
        serial: config.serial,
    };
    let encoder = |metrics: Metrics| -> Hand<Encode, Encoded> {
        let instrument = instrument.clone();
        Box::new(move |job| metrics.timed(Stage::Encode, || dataset::encode(job, &instrument)))
    };
    let encoders = (0..config.encoders).map(|_| encoder(config.metrics.clone())).collect();
    let encoders = Worker::start("encoder", JOBS, config.models.encoding, encoders)?;
    let studying = config.metrics.clone();
    let mut student = Student::default();
    let study: Hand<Study, Studied> =
        Box::new(move |job| studying.timed(Stage::Study, || student.study(job)));
    let students = Worker::start("student", JOBS, config.models.studying, vec![study])?;
    let metrics = config.metrics;
    let mut recorder =
        dataset::Recorder::new(config.disk, config.data, instrument.clone(), shelf, config.kept_free)
            .timed(metrics.timings().clone());
    let record: Hand<Record, Recorded> =
        Box::new(move |job| metrics.timed(Stage::Record, || recorder.record(job)));
    let recorder = Worker::start_in_the_world("recorder", JOBS, config.models.recording, record)?;

    if let Some(beat) = config.heart {
        Heart::create(|ctx| Heart::new(ctx, beat));
    }
    let hardware: Rc<dyn Hardware> = config.board.hardware().into();
    let diag = Diag::listening(hardware.diag(), config.say);
    let current: Current = Rc::new(Cell::new(calibration));
    let (board, height) = (config.board, Height::default());
    let (pump_clock, focus_clock) = (Oscillator::default(), Oscillator::default());
    let supervisor = Supervisor::create(|ctx| {
        let me = ctx.address();
        let health: Port<Noted> = Port::of(&me);
        let pump = {
            let (hardware, stop, events) = (hardware.clone(), stop.clone(), Port::of(&me));
            let (current, clock, diag) = (current.clone(), pump_clock.clone(), diag.clone());
            Host::start(
                Device::Pump,
                health.clone(),
                Box::new(move |bell| {
                    let pump = Pump::new(
                        hardware.pump_spi()?,
                        hardware.pump_enable(),
                        stop.clone(),
                        current.clone(),
                        clock.clone(),
                    );
                    Ok(Drive::new(pump, bell, events.clone(), diag.clone()))
                }),
            )
        };
        let focus = {
            let (hardware, height, events) = (hardware.clone(), height.clone(), Port::of(&me));
            let clock = focus_clock.clone();
            Host::start(
                Device::Focus,
                health.clone(),
                Box::new(move |bell| {
                    let (spi, enable) = (hardware.focus_spi()?, hardware.focus_enable());
                    let (height, clock) = (height.clone(), clock.clone());
                    let focus = Focus::new(spi, enable, stop.clone(), calibration, height, clock);
                    Ok(Drive::new(focus, bell, events.clone(), diag.clone()))
                }),
            )
        };
        let camera = {
            let (hardware, events) = (hardware.clone(), Port::of(&me));
            let viewfinder = config.viewfinder;
            let open = Box::new(move |bell| {
                Ok(Eye::new(hardware.camera()?, bell, events.clone(), viewfinder.clone()))
            });
            Host::start(Device::Camera, health.clone(), open)
        };
        let light = {
            let (board, health) = (board.clone(), health.clone());
            let events = Port::<Report<light::Event>>::of(&me);
            Host::start_in_arbiter(slow, move |ctx| {
                let buses = board.slow_buses();
                let open =
                    Box::new(move |bell| Ok(Lamp::new(Light::open(buses.lamp()?)?, bell, events.clone())));
                Host::new(ctx, Device::Light, health, open)
            })
        };
        let bubbler = {
            let (board, health) = (board.clone(), health.clone());
            let events = Port::<Report<bubbler::Event>>::of(&me);
            Host::start_in_arbiter(slow, move |ctx| {
                let buses = board.slow_buses();
                let open = Box::new(move |bell| {
                    Ok(Bubbles::new(Bubbler::open(buses.bubbler()?)?, bell, events.clone()))
                });
                Host::new(ctx, Device::Bubbler, health, open)
            })
        };
        let display = {
            let (board, health) = (board.clone(), health.clone());
            let events = Port::<Report<display::Event>>::of(&me);
            Host::start_in_arbiter(slow, move |ctx| {
                let buses = board.slow_buses();
                let open =
                    Box::new(move |bell| Ok(Sign::new(Display::new(buses.display()?), bell, events.clone())));
                Host::new(ctx, Device::Display, health, open)
            })
        };
        let eeprom = {
            let (board, events) = (board.clone(), Port::<Report<eeprom::Event>>::of(&me));
            Host::start_in_arbiter(slow, move |ctx| {
                let buses = board.slow_buses();
                let open = Box::new(move |bell| {
                    Ok(Nameplate::new(Eeprom::new(buses.eeprom()?), bell, events.clone()))
                });
                Host::new(ctx, Device::Eeprom, health, open)
            })
        };
        let known = Known { not_before: config.not_before, saved: memory.time };
        let timekeeping = {
            let (board, anchors, steps) = (board.clone(), Port::of(&me), Port::of(&me));
            let tracking = config.tracking;
            Timekeeping::start_in_arbiter(slow, move |ctx| {
                let buses = board.slow_buses();
                let clocks = Clocks {
                    wall: buses.wall_clock(),
                    tracking: tracking.map_or_else(|| buses.tracking(), |make| make()),
                    rtc: Box::new(move || buses.rtc().map(Rtc::new)),
                };
                Timekeeping::new(ctx, clocks, known, anchors, steps)
            })
        };
        let listeners = vec![Port::of(&me), Port::of(&timekeeping)];
        let position = config.position.unwrap_or_else(|| Box::new(move || board.slow_buses().position()));
        Position::start_in_arbiter(slow, move |ctx| Position::new(ctx, position(), listeners));

        let reopen: [(Device, Recipient<Reopen>); 7] = [
            (Device::Pump, pump.clone().recipient()),
            (Device::Focus, focus.clone().recipient()),
            (Device::Light, light.clone().recipient()),
            (Device::Camera, camera.clone().recipient()),
            (Device::Bubbler, bubbler.clone().recipient()),
            (Device::Display, display.clone().recipient()),
            (Device::Eeprom, eeprom.clone().recipient()),
        ];
        let parts = Parts {
            pump: Port::of(&pump),
            pump_enable: hardware.pump_enable(),
            pump_clock,
            focus: Port::of(&focus),
            focus_enable: hardware.focus_enable(),
            focus_clock,
            height: height.clone(),
            light: Port::of(&light),
            // A pin that cannot be had is none: the lamp's bus does it.
            strobe_pin: hardware.strobe().unwrap_or(None),
            bubbler: Port::of(&bubbler),
            display: Port::of(&display),
            eeprom: Port::of(&eeprom),
            camera: Port::of(&camera),
            reopen: BTreeMap::from(reopen),
            pipeline: Pipeline::new(
                (encoders, Port::of(&me)),
                (students, Port::of(&me)),
                (recorder, Port::of(&me)),
            ),
            calibration: current,
            memory,
            name: config.name,
            protocols,
            earliest: known.earliest(),
            outlet,
            journal: config.journal,
        };
        Supervisor::new(ctx, parts)
    });
    actix_rt::spawn(intake.serve(room, Port::of(&supervisor), Port::of(&supervisor)));
    Ok(())
}
