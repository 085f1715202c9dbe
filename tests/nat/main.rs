//! Real NATs, made of network namespaces, and the real program inside them.
//!
//! Each test has a lab of its own, so they run side by side. The tests are made at run time, one
//! for each cell of the matrix; `cargo test --workspace --test nat -- --list` names them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[cfg(target_os = "linux")]
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod linux;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    {
        println!("left out: the NAT lab needs Linux");
        ExitCode::SUCCESS
    }
}
