//! A stop is an epoch: what was admitted before it starts no motion after it.

/// What can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// The peristaltic pump.
    Pump,
    /// The focusing stage.
    Focus,
}

impl std::fmt::Display for Axis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pump => "pump",
            Self::Focus => "stage",
        })
    }
}

/// How many stops each axis had been given when a command was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Epochs {
    /// Stops of the pump.
    pub pump: u32,
    /// Stops of the stage.
    pub focus: u32,
}

impl Epochs {
    /// The count of one axis.
    pub fn of(self, axis: Axis) -> u32 {
        match axis {
            Axis::Pump => self.pump,
            Axis::Focus => self.focus,
        }
    }

    /// Whether any axis was stopped between these and the others.
    pub fn is_before(self, later: Self) -> bool {
        self.pump < later.pump || self.focus < later.focus
    }
}
