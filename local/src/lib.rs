//! Runs the wafer-metrics endpoint on loopback, without AWS: see [`stack`].

pub mod demo;
pub mod gateway;
pub mod lambdas;
pub mod stack;
