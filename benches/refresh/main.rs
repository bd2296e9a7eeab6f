//! The refresh of large fleets, minute by minute: a first fill, and the usual hour after it with its seal. Figures for
//! docs/numbers.md.
//!
//! `ENDPOINTS` holds the fleets to try, separated by commas; `FILL` how many minutes are filled first, and `USUAL` how
//! many are followed then.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

mod calls;
mod endpoints;
mod fleet;
mod table;
mod usage;

use std::fmt::Debug;
use std::process::Command;
use std::str::FromStr;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [endpoints::ROLE, endpoints] => endpoints::serve(endpoints.parse().unwrap()),
        [fleet::ROLE, endpoints] => {
            fleet::follow(endpoints.parse().unwrap(), minutes("FILL", 180), minutes("USUAL", 65));
        }
        // Each fleet has a process of its own, whose memory no other fleet has grown.
        _ => {
            println!("{}", table::HEADING);
            for endpoints in std::env::var("ENDPOINTS").unwrap_or_else(|_| "200,2000,5000".to_owned()).split(',') {
                let fleet =
                    Command::new(std::env::current_exe().unwrap()).args([fleet::ROLE, endpoints.trim()]).status();
                assert!(fleet.unwrap().success(), "{endpoints} endpoints");
            }
        }
    }
}

fn minutes<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |minutes| minutes.parse().unwrap())
}
