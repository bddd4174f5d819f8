//! Attempts without a network: what a machine would tell, and what becomes of the files.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use proto::client::{Done, Event, Failure as ExchangeFailure, Head};
use proto::response::{Limits, ResponseHead};
use tempfile::TempDir;

use super::conclude::conclude;
use super::download::Download;
use super::job::{self, Job, Kept};
use super::output::Output;
use super::report::Report;
use super::{Failed, clock};
use crate::exit::Code;

/// A folder to save `x` in, and the job to do so.
struct Bench {
    folder: TempDir,
    job: Job,
    output: Output,
}

impl Bench {
    fn new(words: &[&str]) -> Self {
        Self::of(tempfile::tempdir().unwrap(), words)
    }

    fn of(folder: TempDir, words: &[&str]) -> Self {
        let name = folder.path().join("x");
        let file = ["h/x", "--silent", "-o", name.to_str().unwrap()];
        let job = job::of_words(&[&file, words].concat()).unwrap().remove(0);
        let output = job.open_output().unwrap();
        Self {
            folder,
            job,
            output,
        }
    }

    /// Another run of the program, with other options.
    fn again(self, words: &[&str]) -> Self {
        drop(self.output);
        Self::of(self.folder, words)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn kept(&self) -> Option<Kept> {
        self.job.kept(&self.output)
    }

    fn have(&self) -> Option<Vec<(u64, u64)>> {
        let parts = self.kept()?.have;
        Some(parts.iter().map(|part| (part.start, part.end)).collect())
    }

    /// An attempt that is told `events`, until one makes it fail.
    fn attempt(&mut self, go_on: bool, events: Vec<Event>) -> Result<(), Failed> {
        let kept = self.kept().filter(|_| go_on);
        let mut download = Download::new(&self.job, &mut self.output, kept.as_ref(), None);
        download.take(events);
        let (outcome, output) = download.finish();
        let mut report = Report::of(&self.job);
        conclude(&self.job, output, outcome, clock(), &mut report)
    }

    /// One that is killed there.
    fn killed(&mut self, go_on: bool, events: Vec<Event>) {
        let kept = self.kept().filter(|_| go_on);
        Download::new(&self.job, &mut self.output, kept.as_ref(), None).take(events);
    }
}

fn head(status: &str, fields: &str, framed: bool, first: u64, end: u64) -> Event {
    let text = format!("HTTP/1.0 {status} .\r\nETag: \"v\"\r\n{fields}\r\n");
    Event::Head(Box::new(Head {
        response: ResponseHead::parse(&mut Bytes::from(text), &Limits::default()).unwrap(),
        first,
        end: Some(end),
        complete: status.starts_with('2').then_some(10),
        framed,
    }))
}

fn body(offset: u64, data: &'static str) -> Event {
    let data = Bytes::from_static(data.as_bytes());
    Event::Body { offset, data }
}

const fn done() -> Event {
    Event::Finished(Ok(Done {
        verified: true,
        rounds: 0,
    }))
}

const fn cut_short() -> Event {
    Event::Finished(Err(ExchangeFailure::Stalled))
}

const DCCP: &[&str] = &["--proto", "dccp"];

#[test]
fn a_download_goes_on_where_it_stopped() {
    let mut bench = Bench::new(&[]);
    let failed = bench.attempt(
        false,
        vec![head("200", "", false, 0, 10), body(0, "01234"), cut_short()],
    );
    assert_eq!(failed.unwrap_err().go_on, Some(true));
    let mut bench = bench.again(&["-C"]);
    assert_eq!(bench.have(), Some(vec![(0, 5)]));
    bench
        .attempt(
            true,
            vec![head("206", "", false, 5, 10), body(5, "56789"), done()],
        )
        .unwrap();
    assert_eq!(fs::read(bench.path("x")).unwrap(), b"0123456789");
    assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 1);
}

#[test]
fn a_resumed_download_that_is_killed_loses_nothing() {
    let mut bench = Bench::new(DCCP);
    let parts = vec![
        head("200", "", true, 0, 10),
        body(0, "01"),
        body(6, "67"),
        cut_short(),
    ];
    assert!(bench.attempt(false, parts).is_err());
    bench.killed(true, vec![head("206", "", true, 2, 10), body(2, "2")]);
    let bench = bench.again(DCCP);
    assert_eq!(bench.have(), Some(vec![(0, 2), (6, 8)]));
}

#[test]
fn a_part_without_a_validator_goes_on_by_the_one_it_was_asked_for_with() {
    let mut bench = Bench::new(&[]);
    let begun = || vec![head("200", "", false, 0, 10), body(0, "01234"), cut_short()];
    assert!(bench.attempt(false, begun()).is_err());
    let Event::Head(mut part) = head("206", "", false, 5, 10) else {
        unreachable!("it is a head");
    };
    let bare = "HTTP/1.0 206 .\r\n\r\n";
    part.response = ResponseHead::parse(&mut Bytes::from(bare), &Limits::default()).unwrap();
    let more = vec![Event::Head(part), body(5, "5"), cut_short()];
    assert!(bench.attempt(true, more).is_err());
    assert_eq!(bench.have(), Some(vec![(0, 6)]));
}

#[test]
fn a_part_that_does_not_fit_is_forgotten() {
    for answer in [
        vec![head("206", "", false, 5, 9)],
        vec![Event::Finished(Err(ExchangeFailure::RangeNotHonoured))],
        vec![head("416", "", false, 0, 0), done()],
        // After all of it came anew, a part of it is none.
        vec![
            head("200", "", false, 0, 10),
            body(0, "abc"),
            head("206", "", false, 5, 10),
        ],
    ] {
        let mut bench = Bench::new(&[]);
        let begun = vec![head("200", "", false, 0, 10), body(0, "01234"), cut_short()];
        assert!(bench.attempt(false, begun).is_err());
        let failed = bench.attempt(true, answer).unwrap_err();
        assert_eq!(failed.failure.code, Code::Range);
        assert!(failed.may_pass && failed.go_on == Some(false));
        assert!(bench.kept().is_none());
    }
}

#[test]
fn an_error_while_holes_are_filled_leaves_what_came() {
    let mut bench = Bench::new(DCCP);
    let failed = bench
        .attempt(
            false,
            vec![
                head("200", "", true, 0, 10),
                body(0, "01"),
                body(6, "6789"),
                head("503", "", true, 0, 4),
                body(0, "busy"),
                done(),
            ],
        )
        .unwrap_err();
    assert_eq!(failed.failure.code, Code::Status);
    assert!(failed.may_pass && failed.go_on == Some(true));
    assert_eq!(bench.have(), Some(vec![(0, 2), (6, 10)]));
    let part = fs::read(bench.path("x.part")).unwrap();
    assert_eq!((&part[..2], &part[6..]), (&b"01"[..], &b"6789"[..]));
}

#[test]
fn a_body_that_lies_as_it_came_is_not_gone_on_with() {
    let mut bench = Bench::new(DCCP);
    let failed = bench.attempt(
        false,
        vec![head("200", "", false, 0, 10), body(0, "0189"), cut_short()],
    );
    assert_eq!(failed.unwrap_err().go_on, Some(false));
    assert!(bench.kept().is_none());
}

#[test]
fn a_part_asked_for_takes_the_note_of_the_whole_with_it() {
    let mut bench = Bench::new(&[]);
    bench.killed(false, vec![head("200", "", false, 0, 10), body(0, "01234")]);
    assert_eq!(bench.have(), Some(vec![(0, 5)]));
    let mut bench = bench.again(&["--range", "5-"]);
    bench.killed(false, vec![head("206", "", false, 5, 10), body(5, "567")]);
    let bench = bench.again(&["-C"]);
    assert!(bench.kept().is_none());
}

#[test]
fn what_nobody_asked_to_go_on_with_stays_out_of_a_retry() {
    let mut bench = Bench::new(&[]);
    bench.killed(false, vec![head("200", "", false, 0, 10), body(0, "01234")]);
    let mut bench = bench.again(&[]);
    // As it was before: not asked for.
    let refused = bench.attempt(false, vec![head("503", "", false, 0, 0), done()]);
    assert_eq!(refused.unwrap_err().go_on, None);
    let silent = bench.attempt(false, vec![Event::Finished(Err(ExchangeFailure::NoAnswer))]);
    assert_eq!(silent.unwrap_err().go_on, None);
    assert_eq!(bench.have(), Some(vec![(0, 5)]));
}

#[test]
fn an_answer_without_a_head_is_all_body() {
    let mut bench = Bench::new(&["--http0.9"]);
    bench
        .attempt(false, vec![body(0, "all body"), done()])
        .unwrap();
    assert_eq!(fs::read(bench.path("x")).unwrap(), b"all body");
    let mut bench = Bench::new(&["--http0.9"]);
    bench.attempt(false, vec![done()]).unwrap();
    assert_eq!(fs::read(bench.path("x")).unwrap(), b"");
    let mut bench = Bench::new(&["--http0.9", "--range", "5-"]);
    let failed = bench.attempt(false, vec![body(0, "all body"), done()]);
    assert_eq!(failed.unwrap_err().failure.code, Code::Range);
}

#[test]
fn a_head_is_saved_where_it_was_asked_for() {
    let mut bench = Bench::new(&["-I"]);
    let answer = vec![head("200", "A: b\r\n", false, 0, 0), done()];
    bench.attempt(false, answer).unwrap();
    let saved = fs::read_to_string(bench.path("x")).unwrap();
    assert_eq!(saved, "HTTP/1.0 200 .\r\nETag: \"v\"\r\nA: b\r\n\r\n");
    // What has no head is not saved as an empty one.
    let mut bench = bench.again(&["-I", "--http0.9"]);
    let failed = bench.attempt(false, vec![done()]).unwrap_err();
    assert_eq!(failed.failure.code, Code::Receive);
    assert_eq!(fs::read_to_string(bench.path("x")).unwrap(), saved);
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    let mut bench = Bench::new(&[]);
    let digest = "Repr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n";
    let answer = vec![
        head("200", digest, false, 0, 10),
        body(0, "0123456789"),
        done(),
    ];
    let failed = bench.attempt(false, answer).unwrap_err();
    assert_eq!(failed.failure.code, Code::Digest);
    drop(bench.output);
    assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 0);
}
