//! The contract as data.
