//! Numbers that follow from a seed, one after the other.

use planktor_sim::random::{hash, unit};

/// A row of them.
#[derive(Clone, Debug)]
pub struct Draw {
    seed: u64,
    drawn: u64,
}

impl Draw {
    /// The row of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.drawn += 1;
        hash(self.seed, self.drawn)
    }

    /// 0 to 1.
    pub fn unit(&mut self) -> f64 {
        unit(self.number())
    }

    /// A whole number below this one, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// From here to there, every order of magnitude as often as every other.
    pub fn between(&mut self, from: f64, to: f64) -> f64 {
        if from <= 0.0 { from + (to - from) * self.unit() } else { from * (to / from).powf(self.unit()) }
    }

    /// Yes, with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let end = u64::try_from(of.len()).unwrap_or(1).max(1);
        &of[usize::try_from(self.below(end)).unwrap_or(0)]
    }
}
