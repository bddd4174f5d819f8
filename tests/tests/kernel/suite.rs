//! Cases, groups of cases, and what prints their results.

use std::fmt;
use std::ops::AddAssign;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::lab::Lab;
use crate::process::{Failure, now};

/// A note for the reader, or what went wrong.
pub(crate) type Outcome = Result<String, Failure>;

/// Where cases work.
pub(crate) trait Place: Sync {
    /// What its network can be made like.
    type Conditions: fmt::Display + Sync;
    /// Puts the network back when dropped.
    type Applied;

    /// Makes the network so until the value returned is dropped.
    fn apply(&self, conditions: &Self::Conditions) -> Result<Self::Applied, Failure>;
}

/// One thing that is tested.
pub(crate) struct Case<P = Lab> {
    pub(crate) name: String,
    check: Box<dyn Fn(&P) -> Outcome + Send + Sync>,
}

impl<P> Case<P> {
    pub(crate) fn new(
        name: impl Into<String>,
        check: impl Fn(&P) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            check: Box::new(check),
        }
    }
}

/// Cases that share a network.
pub(crate) struct Group<P: Place = Lab> {
    pub(crate) name: &'static str,
    pub(crate) network: P::Conditions,
    /// How many cases run at once.
    pub(crate) parallel: usize,
    pub(crate) cases: Vec<Case<P>>,
}

/// How many cases ran, and how many of these passed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) run: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.run += other.run;
    }
}

impl<P: Place> Group<P> {
    /// Runs the cases, in their order but several at once, and prints a line for each.
    pub(crate) fn run(&self, place: &P) -> Tally {
        let begin = now();
        println!(
            "{}: {} cases, {}",
            self.name,
            self.cases.len(),
            self.network
        );
        let run = self.cases.len();
        let network = match place.apply(&self.network) {
            Ok(network) => network,
            Err(error) => {
                println!("FAILED {}: {error}", self.name);
                return Tally { passed: 0, run };
            }
        };
        let next = AtomicUsize::new(0);
        let passed = AtomicUsize::new(0);
        let terminal = Mutex::new(());
        thread::scope(|scope| {
            for _ in 0..self.parallel.min(run) {
                scope.spawn(|| {
                    while let Some(case) = self.cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let ok = self.run_case(case, place, &terminal);
                        passed.fetch_add(usize::from(ok), Ordering::Relaxed);
                    }
                });
            }
        });
        drop(network);
        let passed = passed.into_inner();
        println!(
            "{}: {passed} of {run} passed in {:.1} s",
            self.name,
            begin.elapsed().as_secs_f64()
        );
        Tally { passed, run }
    }

    fn run_case(&self, case: &Case<P>, place: &P, terminal: &Mutex<()>) -> bool {
        let begin = now();
        let outcome = (case.check)(place);
        let seconds = begin.elapsed().as_secs_f64();
        let _turn = terminal.lock();
        match &outcome {
            Ok(note) => {
                let line = format!(
                    "ok     {}/{:34} {seconds:6.1} s  {note}",
                    self.name, case.name
                );
                println!("{}", line.trim_end());
            }
            Err(error) => {
                println!("FAILED {}/{:34} {seconds:6.1} s", self.name, case.name);
                for line in error.to_string().lines() {
                    println!("           {line}");
                }
            }
        }
        outcome.is_ok()
    }
}
