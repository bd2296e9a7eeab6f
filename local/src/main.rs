//! Runs the whole product on loopback, without AWS.

use std::process::ExitCode;

use clap::Parser;
use local_stack::stack::{self, Options};

#[tokio::main]
async fn main() -> ExitCode {
    tokio::select! {
        ended = stack::run(Options::parse()) => match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        _ = tokio::signal::ctrl_c() => ExitCode::SUCCESS,
    }
}
