//! A board with something between it and the drivers: what is wrong on purpose is put there, and nowhere else.

use embedded_hal::spi::{self, Operation, SpiDevice};
use planktor_drivers::board::{Board, DiagLine, Enable, Hardware, Output, SlowBuses, Spi};
use planktor_drivers::devices::camera::Camera;
use planktor_protocol::{Axis, Fault};
use std::sync::Arc;

/// A line on which motor drivers call, or why it cannot be had.
pub type Wired = Result<DiagLine, Fault>;

/// A board with something between it and the drivers.
pub struct Meddled {
    /// The board itself.
    pub board: Arc<dyn Board>,
    /// What comes between a driver and its bus.
    pub meddle: fn(Spi, Axis) -> Spi,
    /// What comes between a driver and its enable pin.
    pub enable: fn(Enable) -> Enable,
    /// What becomes of the motor drivers' lines.
    pub diag: fn(Vec<Wired>) -> Vec<Wired>,
    /// What comes between the camera's actor and the camera.
    pub camera: fn(Box<dyn Camera>) -> Box<dyn Camera>,
}

impl Meddled {
    /// With nothing in between.
    pub fn of(board: Arc<dyn Board>) -> Self {
        Self { board, meddle: |spi, _| spi, enable: |pin| pin, diag: |lines| lines, camera: |camera| camera }
    }
}

struct MeddledHalf {
    half: Box<dyn Hardware>,
    meddle: fn(Spi, Axis) -> Spi,
    enable: fn(Enable) -> Enable,
    diag: fn(Vec<Wired>) -> Vec<Wired>,
    camera: fn(Box<dyn Camera>) -> Box<dyn Camera>,
}

impl Board for Meddled {
    fn hardware(&self) -> Box<dyn Hardware> {
        let Self { board, meddle, enable, diag, camera } = self;
        let half = board.hardware();
        Box::new(MeddledHalf { half, meddle: *meddle, enable: *enable, diag: *diag, camera: *camera })
    }
    fn slow_buses(&self) -> Box<dyn SlowBuses> {
        self.board.slow_buses()
    }
}

impl Hardware for MeddledHalf {
    fn pump_spi(&self) -> Result<Spi, Fault> {
        Ok((self.meddle)(self.half.pump_spi()?, Axis::Pump))
    }
    fn focus_spi(&self) -> Result<Spi, Fault> {
        Ok((self.meddle)(self.half.focus_spi()?, Axis::Focus))
    }
    fn pump_enable(&self) -> Enable {
        (self.enable)(self.half.pump_enable())
    }
    fn focus_enable(&self) -> Enable {
        (self.enable)(self.half.focus_enable())
    }
    fn diag(&self) -> Vec<Wired> {
        (self.diag)(self.half.diag())
    }
    fn strobe(&self) -> Result<Option<Output>, Fault> {
        self.half.strobe()
    }
    fn camera(&self) -> Result<Box<dyn Camera>, Fault> {
        Ok((self.camera)(self.half.camera()?))
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
