//! What only the kernel's way to a chip can show: how its wires are driven, and what becomes of errors, silence, pins,
//! missing nodes and permissions. Through the board and the devices that are released.

use super::bench::KernelBench;
use super::far_end::{Answers, Clocking, FarEnd, Wire};
use super::table::Check;
use super::wires::{Happening, I2cPart};
use crate::conformance::Bench as _;
use crate::conformance::mcp4725::I2cBench as _;
use crate::conformance::tmc5160::MotorBench as _;
use embedded_hal::i2c::{ErrorKind, I2c as _};
use embedded_hal::spi::{Operation, SpiDevice as _};
use linux_embedded_hal::SpidevDevice;
use linux_embedded_hal::gpio_cdev::{EventRequestFlags, EventType, LineRequestFlags};
use linux_embedded_hal::spidev::{SpiModeFlags, SpidevOptions};
use planktor_drivers::board::Spi;
use planktor_drivers::calibration::Calibration;
use planktor_drivers::clock::Monotonic;
use planktor_drivers::devices::light::Light;
use planktor_drivers::devices::motor::{Look, Motor as _};
use planktor_drivers::devices::oscillator::Oscillator;
use planktor_drivers::devices::pump::Pump;
use planktor_drivers::linux::description::{self, Description, MotorDriver};
use planktor_drivers::linux::pins::Pins;
use planktor_drivers::linux::{Linux, buses};
use planktor_drivers::stop::StopLine;
use planktor_drivers::{Board, Clock as _};
use planktor_protocol::Fault;
use planktor_protocol::pump::Move;
use planktor_protocol::units::{Nanolitres, NanolitresPerSecond};
use planktor_sim::faults::{Bus, Motor};
use planktor_sim::{Fault as Broken, Hat};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::thread::{Gid, Uid, set_thread_gid, set_thread_uid};
use std::os::fd::AsFd as _;
use std::time::Duration;

/// All of them.
pub const CHECKS: [Check; 20] = [
    ("SPI is clocked in mode 3 at 1 MHz, 8 bits a word", clocking),
    ("in another SPI mode nobody is taken for a TMC5160", another_mode),
    ("a transaction on SPI is one message under one chip select", one_message),
    ("an I2C write and read are one transaction with a repeated start", repeated_start),
    ("a general call reaches address zero", general_call),
    ("where nobody is, on I2C, nobody acknowledges", nobody),
    ("an error of the adapter is an error of the bus", adapter_error),
    ("a stuck I2C bus holds its caller for the time-out that was set", stuck),
    ("an SPI controller that never answers holds its caller for the kernel's time-out", spi_stuck),
    ("what is answered too late harms nothing", late),
    ("who dies in the middle of a transfer is missing, and may come back", death),
    ("levels of outputs arrive", outputs),
    ("edges of an input are delivered, each of them once", edges),
    ("a node, pin or chip that is not there is named", missing),
    ("a node that may not be opened is named", forbidden),
    ("a node of another kind is named", unusable),
    ("a bus or a pin that another program has is named, and left to it", in_use),
    ("another chip at the address is named", another_chip),
    ("a cable that is pulled in the middle of a move is noticed", cable),
    ("a chip that is reset in the middle of a move is noticed", reset),
];

const PUMP_NODE: &str = "/dev/spidev0.0";
const SLOW_NODE: &str = "/dev/i2c-1";
/// Where HAT 3.3's lamp is.
const LAMP: u8 = 0x62;
/// Where nobody is on either board.
const EMPTY: u8 = 0x2A;
/// Nobody has to be on time in a virtual machine; but an adapter that keeps its own second is told from ours.
const GENEROUS: Duration = Duration::from_millis(900);

fn hat_3_3() -> KernelBench {
    KernelBench::new(0, Hat::V3_3, None, Motor::Pump)
}

fn shipped() -> Description {
    Description::shipped("3.3").expect("a shipped board")
}

fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// How long something takes; the shortest of three, because this computer has other things to do.
fn shortest(mut what: impl FnMut()) -> Duration {
    let once = |()| {
        let began = Monotonic.now();
        what();
        Monotonic.now() - began
    };
    [(), (), ()].map(once).into_iter().min().unwrap_or_default()
}

fn spi_happened(far_end: &FarEnd) -> Vec<Happening> {
    far_end.happened().into_iter().filter(|what| matches!(what, Happening::Spi(_))).collect()
}

fn clocking() -> String {
    let mut bench = hat_3_3();
    open(&mut bench.pump()).expect("the pump's chip");
    let mut focus = bench.hardware.focus_spi().expect("the stage's bus");
    focus.transfer_in_place(&mut [0; 5]).expect("the stage's chip");
    let clockings = bench.far_end.clockings();
    let expected = [0, 1].map(|cs| Clocking { cs, hz: 1_000_000, mode: 3, bits: 8 });
    assert_eq!(clockings.keys().copied().collect::<Vec<_>>(), expected);
    "on both chip selects".into()
}

fn another_mode() -> String {
    let bench = hat_3_3();
    let found = [SpiModeFlags::SPI_MODE_0, SpiModeFlags::SPI_MODE_1, SpiModeFlags::SPI_MODE_2].map(|mode| {
        let mut device = SpidevDevice::open(PUMP_NODE).expect("the pump's bus");
        let options = SpidevOptions::new().bits_per_word(8).max_speed_hz(1_000_000).mode(mode).build();
        device.configure(&options).expect("a mode that a Raspberry Pi has");
        match open(&mut pump_on(Spi::new(device), &bench)) {
            Err(Fault::WrongChip { expected: "TMC5160", found }) => found,
            other => panic!("in {mode:?}: {other:?}"),
        }
    });
    format!("versions {found:#04x?}")
}

fn one_message() -> String {
    let mut bench = hat_3_3();
    bench.far_end.happened();
    let mut version = [0; 4];
    for _ in 0..2 {
        let mut read = [Operation::Write(&[0x04]), Operation::TransferInPlace(&mut version)];
        bench.spi().transaction(&mut read).expect("the pump's chip");
    }
    assert_eq!(version[0], 0x30, "the chip took both parts for one datagram");
    let happened = spi_happened(&bench.far_end);
    let lens = |what: &Happening| match what {
        Happening::Spi(parts) => parts.iter().map(|part| (part.sent.len(), part.cs_change)).collect(),
        _ => vec![],
    };
    assert_eq!(happened.iter().map(lens).collect::<Vec<_>>(), [[(1, false), (4, false)]; 2]);
    "1 + 4 bytes".into()
}

fn repeated_start() -> String {
    let mut bench = KernelBench::new(0, Hat::V1_2, None, Motor::Pump);
    bench.far_end.happened();
    let mut light = [0; 2];
    bench.i2c().write_read(0x64, &[0x04], &mut light).expect("the LED driver");
    let parts = vec![I2cPart::Write(vec![0x04]), I2cPart::Read(2)];
    assert_eq!(bench.far_end.happened(), [Happening::I2c { bus: 1, address: 0x64, parts }]);
    "2 messages".into()
}

fn general_call() -> String {
    let mut bench = hat_3_3();
    bench.far_end.happened();
    bench.i2c().write(0, &[0x09]).expect("the converters hear it");
    let parts = vec![I2cPart::Write(vec![0x09])];
    assert_eq!(bench.far_end.happened(), [Happening::I2c { bus: 1, address: 0, parts }]);
    String::new()
}

fn nobody() -> String {
    let mut bench = hat_3_3();
    let told = bench.i2c().write(EMPTY, &[0]);
    assert!(matches!(told, Err(ErrorKind::NoAcknowledge(_))), "as a Raspberry Pi says it: {told:?}");
    bench.far_end.meddle(Wire::I2c, Answers::Error(Errno::NXIO));
    let told = bench.i2c().write(EMPTY, &[0]);
    assert!(matches!(told, Err(ErrorKind::NoAcknowledge(_))), "as others say it: {told:?}");
    let mut eeproms = buses::i2c("/dev/i2c-9").expect("HAT 3.3's other bus");
    let told = eeproms.read(LAMP, &mut [0]);
    assert!(matches!(told, Err(ErrorKind::NoAcknowledge(_))), "the lamp is on one bus only: {told:?}");
    "EREMOTEIO and ENXIO".into()
}

fn adapter_error() -> String {
    let mut bench = hat_3_3();
    bench.far_end.meddle(Wire::I2c, Answers::Error(Errno::IO));
    assert_eq!(bench.i2c().read(LAMP, &mut [0]), Err(ErrorKind::Bus));
    bench.far_end.meddle(Wire::I2c, Answers::Error(Errno::AGAIN));
    assert_eq!(bench.i2c().read(LAMP, &mut [0]), Err(ErrorKind::ArbitrationLoss));
    bench.far_end.meddle(Wire::Spi, Answers::Error(Errno::IO));
    assert_eq!(open(&mut bench.pump()), Err(Fault::Bus("the motor driver")));
    "EIO, EAGAIN; SPI: EIO".into()
}

fn stuck() -> String {
    let mut bench = hat_3_3();
    let now = bench.now();
    let spell = bench.twin.world().break_it(Broken::BusStuck(Bus::Light), now, None);
    let took = shortest(|| {
        assert_eq!(bench.i2c().read(LAMP, &mut [0]), Err(ErrorKind::Other));
    });
    assert!((buses::I2C_TIME_OUT..GENEROUS).contains(&took), "{took:?} instead of {:?}", buses::I2C_TIME_OUT);
    let lamp = bench.board.slow_buses().lamp().expect("the bus opens all the same");
    assert_eq!(Light::open(lamp).err(), Some(Fault::Bus("the lamp")));
    bench.twin.world().mend(spell);
    bench.i2c().read(LAMP, &mut [0]).expect("it is free again");
    format!("{} of {} set", ms(took), ms(buses::I2C_TIME_OUT))
}

fn spi_stuck() -> String {
    let mut bench = hat_3_3();
    bench.far_end.meddle(Wire::Spi, Answers::Never);
    let took = shortest(|| {
        bench.spi().transfer_in_place(&mut [0; 5]).expect_err("nobody answers");
    });
    assert_eq!(open(&mut bench.pump()), Err(Fault::Bus("the motor driver")));
    bench.far_end.meddle(Wire::Spi, Answers::Theirs);
    assert_eq!(open(&mut bench.pump()), Ok(()));
    ms(took)
}

fn late() -> String {
    let mut bench = hat_3_3();
    bench.i2c().write(LAMP, &[0x0A, 0xBC]).expect("the lamp");
    bench.far_end.meddle(Wire::I2c, Answers::Late(2 * buses::I2C_TIME_OUT));
    assert_eq!(bench.i2c().read(LAMP, &mut [0; 3]), Err(ErrorKind::Other));
    bench.far_end.meddle(Wire::I2c, Answers::Theirs);
    let mut value = [0; 3];
    let asked = shortest(|| bench.i2c().read(LAMP, &mut value).expect("the next one has its own answer"));
    assert_eq!(value[1..], [0xAB, 0xC0]);
    bench.far_end.meddle(Wire::I2c, Answers::Late(buses::I2C_TIME_OUT / 5));
    let took = shortest(|| bench.i2c().read(LAMP, &mut [0; 3]).expect("late, but in time"));
    assert!(took > asked);
    format!("usually {} us, late {}", asked.as_micros(), ms(took))
}

fn death() -> String {
    let KernelBench { far_end, twin, mut i2c, spi, .. } = hat_3_3();
    far_end.meddle(Wire::Spi, Answers::Never);
    let asked = std::thread::spawn(|| {
        let mut spi = buses::spi("/dev/spidev0.1").expect("the stage's bus");
        let mut answer = [0xFF; 5];
        (spi.transfer_in_place(&mut answer), answer)
    });
    while !far_end.happened().iter().any(|what| matches!(what, Happening::Spi(_))) {
        assert!(!asked.is_finished(), "it was asked before it died");
        std::thread::yield_now();
    }
    drop(far_end);
    assert_eq!(asked.join().expect("no panic"), (Ok(()), [0; 5]), "nobody drives the line");
    assert!(matches!(i2c.read(LAMP, &mut [0]), Err(ErrorKind::NoAcknowledge(_))));
    spi.expect("no pump has it").transfer_in_place(&mut [0; 5]).expect("SPI does not notice");
    let _far_end = FarEnd::of(&twin).expect("the place is free");
    i2c.read(LAMP, &mut [0]).expect("it is back");
    String::new()
}

fn outputs() -> String {
    let mut bench = KernelBench::new(0, Hat::V1_2, None, Motor::Pump);
    let axis = planktor_protocol::Axis::Pump;
    assert_eq!(
        (bench.far_end.pin(23), bench.twin.world().is_enabled(axis)),
        (Some(true), false),
        "off at first"
    );
    bench.enable(true);
    assert_eq!((bench.far_end.pin(23), bench.twin.world().is_enabled(axis)), (Some(false), true));
    bench.enable(false);
    assert_eq!((bench.far_end.pin(23), bench.twin.world().is_enabled(axis)), (Some(true), false));
    let select = bench.select.as_mut().expect("HAT 1.2 has one");
    let seen = [true, false].map(|high| {
        select.set(high);
        bench.far_end.pin(18)
    });
    assert_eq!(seen, [Some(true), Some(false)]);
    "GPIO 18 and 23".into()
}

/// A line whose edges matter: the motor drivers'.
const INPUT: u32 = 16;

fn edges() -> String {
    let bench = hat_3_3();
    let mut chip = Pins::new(shipped().gpio).chip().expect("the chip with the header's pins");
    let line = chip.get_line(INPUT).expect("its line");
    let both = EventRequestFlags::BOTH_EDGES;
    let mut events = line.events(LineRequestFlags::INPUT, both, "vm").expect("its edges");
    let levels = [true, false, true, true, false];
    for high in levels {
        bench.far_end.drive(u64::from(high) << INPUT).expect("the line is driven");
        assert_eq!(events.get_value().expect("its level"), u8::from(high));
    }
    let seen: Vec<_> = (0..4).map(|_| events.get_event().expect("an edge").event_type()).collect();
    use EventType::{FallingEdge, RisingEdge};
    assert_eq!(seen, [RisingEdge, FallingEdge, RisingEdge, FallingEdge]);
    let more =
        poll(&mut [PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN)], Some(&Timespec::default()));
    assert_eq!(more, Ok(0), "and no more than these");
    "4 edges".into()
}

fn with_pump(spi: description::Lasting, enable: u8) -> Linux {
    Linux::new(Description { pump: MotorDriver::Tmc5160 { spi, enable }, ..shipped() })
}

fn refused(board: &Linux) -> Fault {
    board.hardware().pump_spi().err().expect("it is refused")
}

fn missing() -> String {
    assert_eq!(refused(&with_pump("/dev/spidev7.0", 23)), Fault::Missing("/dev/spidev7.0"));
    assert_eq!(refused(&with_pump(PUMP_NODE, 200)), Fault::Missing("a GPIO line beyond the header's"));
    let elsewhere = Linux::new(Description { gpio: vec!["pinctrl-other".into()], ..shipped() });
    assert_eq!(refused(&elsewhere), Fault::Missing("the GPIO chip"));
    assert_eq!(buses::i2c("/dev/i2c-77").err(), Some(Fault::Missing("/dev/i2c-77")));
    String::new()
}

fn forbidden() -> String {
    let as_nobody = || {
        // These are the calling thread's only.
        set_thread_gid(Gid::from_raw(65_534)).expect("root may");
        set_thread_uid(Uid::from_raw(65_534)).expect("root may");
        let pin = Pins::new(shipped().gpio).output(23, true).hold();
        (pin.err(), buses::spi(PUMP_NODE).err(), buses::i2c(SLOW_NODE).err())
    };
    let (pin, spi, i2c) = std::thread::spawn(as_nobody).join().expect("no panic");
    assert_eq!(pin, Some(Fault::Forbidden("the GPIO chip")));
    assert_eq!(spi, Some(Fault::Forbidden(PUMP_NODE)));
    assert_eq!(i2c, Some(Fault::Forbidden(SLOW_NODE)));
    String::new()
}

fn unusable() -> String {
    assert_eq!(buses::spi(SLOW_NODE).err(), Some(Fault::Unusable(SLOW_NODE)));
    assert_eq!(buses::i2c(PUMP_NODE).err(), Some(Fault::Unusable(PUMP_NODE)));
    String::new()
}

fn in_use() -> String {
    let mut bench = hat_3_3();
    bench.enable(true);
    assert_eq!(refused(&with_pump(PUMP_NODE, 23)), Fault::InUse(PUMP_NODE));
    assert_eq!(refused(&with_pump("/dev/spidev0.1", 23)), Fault::InUse("GPIO23"));
    assert_eq!(bench.far_end.pin(23), Some(false), "its motor keeps its current");
    "its motor keeps its current".into()
}

fn another_chip() -> String {
    let mut bench = hat_3_3();
    bench.far_end.meddle(Wire::Spi, Answers::Only(0x11));
    let expected = Err(Fault::WrongChip { expected: "TMC5160", found: 0x11 });
    assert_eq!(open(&mut bench.pump()), expected);
    bench.far_end.meddle(Wire::I2c, Answers::Only(0x55));
    let lamp = |board: &Linux| Light::open(board.slow_buses().lamp().expect("the bus")).err();
    let found = lamp(&bench.board);
    assert!(matches!(found, Some(Fault::WrongChip { expected: "MCP4725", .. })), "{found:?}");
    let found = lamp(&super::bench::board(Hat::V1_2));
    assert!(matches!(found, Some(Fault::WrongChip { expected: "LM36011", .. })), "{found:?}");
    "TMC5160, MCP4725, LM36011".into()
}

/// Breaks something in the middle of a stroke, and gives back what is said of it.
fn broken_in_mid_stroke(what: Broken) -> Fault {
    let mut bench = hat_3_3();
    let mut pump = bench.pump();
    open(&mut pump).expect("the pump's chip");
    let stroke = Move { volume: Nanolitres(1_000_000), flow: NanolitresPerSecond(50_000) };
    let expected =
        pump.start(stroke.into(), StopLine::default().epochs(), || bench.now()).expect("it starts");
    let took = expected.until - bench.now();
    let limit = expected.until + took;
    bench.pass(took / 2);
    let now = bench.now();
    bench.twin.world().break_it(what, now, None);
    let fault = loop {
        match pump.look(|| bench.now()) {
            Err(fault) => break fault,
            Ok(Look::Again(at)) => bench.pass(at - bench.now()),
            Ok(Look::Reached(_)) => panic!("nothing was noticed"),
        }
        assert!(bench.now() < limit, "nothing was noticed in twice the time of the stroke");
    };
    pump.make_safe();
    assert_eq!(bench.far_end.pin(23), Some(true), "the enable line works without the bus");
    fault
}

fn cable() -> String {
    broken_in_mid_stroke(Broken::CablePulled(Bus::Pump)).to_string()
}

fn reset() -> String {
    let fault = broken_in_mid_stroke(Broken::ChipReset(Motor::Pump));
    assert_eq!(fault, Fault::ChipReset);
    fault.to_string()
}

fn pump_on(spi: Spi, bench: &KernelBench) -> Pump {
    Pump::new(
        spi,
        bench.hardware.pump_enable(),
        StopLine::default(),
        std::rc::Rc::new(Calibration::V3_0.into()),
        Oscillator::default(),
    )
}

impl KernelBench {
    fn pump(&mut self) -> Pump {
        pump_on(self.pump_spi(), self)
    }
}

/// Step by step, as its host does it.
fn open(pump: &mut Pump) -> Result<(), Fault> {
    while !pump.open()? {}
    Ok(())
}
