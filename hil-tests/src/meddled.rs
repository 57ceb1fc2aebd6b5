//! A board with something between it and the drivers: what is wrong on purpose is put there, and nowhere else.

use embedded_hal::spi::{self, Operation, SpiDevice};
use planktor_drivers::board::{Board, DiagLine, Enable, Hardware, Output, SlowBuses, Spi};
use planktor_drivers::devices::camera::Camera;
use planktor_protocol::{Axis, Fault};
use std::sync::Arc;

/// A line on which motor drivers call, or why it cannot be had.
pub type Wired = Result<DiagLine, Fault>;

/// What comes between a driver and its bus.
type OnSpi = dyn Fn(Spi, Axis) -> Result<Spi, Fault> + Send + Sync;
/// What comes between a driver and its enable pin.
type OnEnable = dyn Fn(Enable) -> Enable + Send + Sync;
/// What becomes of the motor drivers' lines.
type OnDiag = dyn Fn(Vec<Wired>) -> Vec<Wired> + Send + Sync;
/// What comes between the camera's actor and the camera.
type OnCamera = dyn Fn(Box<dyn Camera>) -> Result<Box<dyn Camera>, Fault> + Send + Sync;

/// A board with something between it and the drivers. What is between may have a memory: it is the board's, and outlives
/// whoever opens its devices.
#[derive(Clone)]
pub struct Meddled {
    board: Arc<dyn Board>,
    spi: Arc<OnSpi>,
    enable: Arc<OnEnable>,
    diag: Arc<OnDiag>,
    camera: Arc<OnCamera>,
}

impl Meddled {
    /// With nothing in between.
    pub fn of(board: Arc<dyn Board>) -> Self {
        Self {
            board,
            spi: Arc::new(|spi, _| Ok(spi)),
            enable: Arc::new(|pin| pin),
            diag: Arc::new(|lines| lines),
            camera: Arc::new(Ok),
        }
    }

    /// With this between the drivers and their buses, or instead of them.
    #[must_use]
    pub fn spi(self, between: impl Fn(Spi, Axis) -> Result<Spi, Fault> + Send + Sync + 'static) -> Self {
        Self { spi: Arc::new(between), ..self }
    }

    /// With this between the drivers and their enable pins.
    #[must_use]
    pub fn enable(self, between: impl Fn(Enable) -> Enable + Send + Sync + 'static) -> Self {
        Self { enable: Arc::new(between), ..self }
    }

    /// With this instead of the lines on which motor drivers call.
    #[must_use]
    pub fn diag(self, instead: impl Fn(Vec<Wired>) -> Vec<Wired> + Send + Sync + 'static) -> Self {
        Self { diag: Arc::new(instead), ..self }
    }

    /// With this between the camera and its actor, or instead of it.
    #[must_use]
    pub fn camera(
        self,
        between: impl Fn(Box<dyn Camera>) -> Result<Box<dyn Camera>, Fault> + Send + Sync + 'static,
    ) -> Self {
        Self { camera: Arc::new(between), ..self }
    }
}

struct MeddledHalf {
    half: Box<dyn Hardware>,
    by: Meddled,
}

impl Board for Meddled {
    fn hardware(&self) -> Box<dyn Hardware> {
        Box::new(MeddledHalf { half: self.board.hardware(), by: self.clone() })
    }
    fn slow_buses(&self) -> Box<dyn SlowBuses> {
        self.board.slow_buses()
    }
}

impl Hardware for MeddledHalf {
    fn pump_spi(&self) -> Result<Spi, Fault> {
        (self.by.spi)(self.half.pump_spi()?, Axis::Pump)
    }
    fn focus_spi(&self) -> Result<Spi, Fault> {
        (self.by.spi)(self.half.focus_spi()?, Axis::Focus)
    }
    fn pump_enable(&self) -> Enable {
        (self.by.enable)(self.half.pump_enable())
    }
    fn focus_enable(&self) -> Enable {
        (self.by.enable)(self.half.focus_enable())
    }
    fn diag(&self) -> Vec<Wired> {
        (self.by.diag)(self.half.diag())
    }
    fn strobe(&self) -> Result<Option<Output>, Fault> {
        self.half.strobe()
    }
    fn camera(&self) -> Result<Box<dyn Camera>, Fault> {
        (self.by.camera)(self.half.camera()?)
    }
}

/// An SPI device whose datagrams are changed on their way to the chip and back.
struct Datagrams<F> {
    spi: Spi,
    change: F,
}

impl<F> spi::ErrorType for Datagrams<F> {
    type Error = spi::ErrorKind;
}

impl<F: FnMut(&mut Spi, &mut [u8; 5])> SpiDevice for Datagrams<F> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), spi::ErrorKind> {
        for operation in operations {
            let Operation::TransferInPlace(bytes) = operation else { return Err(spi::ErrorKind::Other) };
            let mut datagram: [u8; 5] = (&**bytes).try_into().map_err(|_| spi::ErrorKind::Other)?;
            (self.change)(&mut self.spi, &mut datagram);
            bytes.copy_from_slice(&datagram);
        }
        Ok(())
    }
}

/// A bus whose datagrams are changed on their way.
pub fn changed(spi: Spi, change: impl FnMut(&mut Spi, &mut [u8; 5]) + 'static) -> Spi {
    Spi::new(Datagrams { spi, change })
}

/// Sends a datagram on, and takes its answer.
///
/// # Panics
/// If the bus does not work.
pub fn send(spi: &mut Spi, datagram: &mut [u8; 5]) {
    spi.transfer_in_place(datagram).expect("the bus works");
}
