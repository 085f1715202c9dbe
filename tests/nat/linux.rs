//! The list of all tests, and how they run or are reported as ignored where there can be no lab.

use std::{env, path::Path, process::ExitCode};

use libtest_mimic::{Arguments, Completion, Trial};

use crate::lab;

mod crowd;
mod docker;
mod doctor;
mod faults;
mod flood;
mod lab_tests;
mod lan;
mod mapping;
mod matrix;
mod peers;
mod tabs;
mod trips;

/// Labs at a time, unless `--test-threads` says another number. Tests mostly wait for the network.
const THREADS: usize = 4;

/// A named test.
pub(crate) struct Test {
    name: String,
    run: Box<dyn FnOnce() + Send>,
    /// It takes minutes: only with `--ignored`.
    long: bool,
    /// Why it cannot run here.
    left_out: Option<String>,
}

impl Test {
    pub(crate) fn new(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
            long: false,
            left_out: None,
        }
    }

    /// A test with a tab: it needs Chromium, and the package for browsers.
    pub(crate) fn of_a_tab(mut self) -> Self {
        const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../www/pkg/web_bg.wasm");
        let needed = [
            ("/usr/bin/chromium", "apt-get install chromium"),
            (PACKAGE, "cargo xtask web"),
        ];
        let missing = needed
            .into_iter()
            .find(|(file, _)| !Path::new(file).exists());
        self.left_out = missing.map(|(file, how)| format!("there is no {file}: {how}"));
        self
    }

    pub(crate) fn long(mut self) -> Self {
        self.long = true;
        self
    }
}

pub(crate) fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(THREADS);
    // First of all, while there is only one thread.
    let left_out = if args.list { None } else { lab::enter().err() };
    let tests = [
        // First: browsers slow down what runs beside them, and later tests count round trips.
        tabs::tests(),
        lab_tests::tests(),
        lan::tests(),
        mapping::tests(),
        matrix::tests(),
        docker::tests(),
        crowd::tests(),
        faults::tests(),
        doctor::tests(),
        trips::tests(),
    ];
    let trials = tests.into_iter().flatten();
    let trials = trials.map(|test| trial(test, left_out.clone())).collect();
    libtest_mimic::run(&args, trials).exit_code()
}

/// Makes a trial of a test. Where there can be no lab it is ignored with the reason; in CI it fails.
fn trial(test: Test, left_out: Option<String>) -> Trial {
    let run = test.run;
    let left_out = left_out.or(test.left_out);
    Trial::ignorable_test(test.name, move || match left_out {
        Some(why) if env::var_os("CI").is_some() => Err(why.into()),
        Some(why) => Ok(Completion::ignored_with(why)),
        None => {
            run();
            Ok(Completion::Completed)
        }
    })
    .with_ignored_flag(test.long)
}
