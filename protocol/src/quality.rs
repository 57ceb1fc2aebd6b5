//! What a frame is worth, and flags as QARTOD numbers them (IOOS, Manual for Real-Time Oceanographic Data Quality Control
//! Flags, 2020).

/// What a test came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// 1: nothing is wrong by this test.
    Pass = 1,
    /// 2: it could not be tested.
    NotEvaluated = 2,
    /// 3: look at it before you use it.
    Suspect = 3,
    /// 4: do not use it.
    Fail = 4,
    /// 9: there is nothing to test.
    Missing = 9,
}

/// A frame's figures, and what the tests made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// The mean of green, millionths of white.
    pub brightness: u32,
    /// Vollath's F4 of green relative to the square of the brightness, in billionths: grows towards focus.
    pub sharpness: u64,
    /// Pixels that are as white as can be, millionths of all.
    pub saturated: u32,
    /// Things that are darker than their surroundings.
    pub particles: u32,
    /// Of these, how many stand where something as large stood in the frame before; `None` without a stroke in between.
    pub stuck: Option<u32>,
    /// Diameter of the largest bubble, millionths of the picture's height; 0 if there is none.
    pub bubble: u32,
    /// What the tests came to.
    pub flags: Flags,
}

/// What each test came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// Neither dark nor glaring.
    pub brightness: Flag,
    /// Brightness as in the run's first frames.
    pub brightness_drift: Flag,
    /// As sharp as the run's first frames.
    pub sharpness_drift: Flag,
    /// Not saturated.
    pub saturation: Flag,
    /// Something is in it.
    pub empty: Flag,
    /// Not the frame before once more.
    pub identical: Flag,
    /// No bubble.
    pub bubble: Flag,
    /// What was in the frame before has been flushed away.
    pub stuck: Flag,
}

impl Flags {
    /// The worst of them: what was not evaluated says nothing.
    pub fn worst(&self) -> Flag {
        let Self {
            brightness,
            brightness_drift,
            sharpness_drift,
            saturation,
            empty,
            identical,
            bubble,
            stuck,
        } = *self;
        let all =
            [brightness, brightness_drift, sharpness_drift, saturation, empty, identical, bubble, stuck];
        all.into_iter().filter(|flag| *flag != Flag::NotEvaluated).max().unwrap_or(Flag::NotEvaluated)
    }
}
