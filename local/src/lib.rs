//! Runs the wafer-metrics endpoint on loopback, without AWS: see [`stack`].

pub mod check;
pub mod demo;
pub mod gateway;
mod hours;
pub mod lambdas;
pub mod listen;
mod options;
mod progress;
pub mod stack;
