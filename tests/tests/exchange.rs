//! A client and a server, message by message: what each side sends, and what becomes of it when
//! the transport does this or that to one of the messages.
//!
//! Message 0 from the server is the head, the blocks follow; message 0 from the client is the
//! request.

use std::time::Duration;

use proto::client::{self, Done, Failure, Wanted};
use proto::machine::{CloseReason, Delivery, StreamId};
use proto::request::Method;
use proto::status::Status;
use tests::link::{Config as Link, Fate};
use tests::pair::{File, Outcome, Scenario, Tag, noise};

/// A GET over DCCP with messages of up to 1424 bytes.
fn dccp(file: File) -> Scenario {
    Scenario::new(Delivery::Unreliable, file, 1424)
}

/// A GET over SCTP as the kernel has it.
fn sctp(file: File) -> Scenario {
    Scenario::new(Delivery::Reliable, file, 212_992)
}

/// A file of four blocks.
fn file() -> File {
    File::new(noise(1, 5000))
}

const LATE: Fate = Fate::Late(Duration::from_millis(30));
const TWICE: Fate = Fate::Twice(Duration::from_millis(30));

/// Gets [`file`] over DCCP with these fates of messages of the client and of the server, and says
/// how many rounds of repair that took.
fn rounds_with(up: &[(u64, Fate)], down: &[(u64, Fate)]) -> u32 {
    let mut scenario = dccp(file());
    scenario.up.fates.extend(up.iter().copied());
    scenario.down.fates.extend(down.iter().copied());
    let outcome = scenario.run();
    assert_eq!(outcome.whole(), Some(&noise(1, 5000)[..]), "{outcome}");
    outcome.rounds().expect("it ended well")
}

#[test]
fn hu2_a_lost_request_is_sent_again() {
    assert_eq!(rounds_with(&[(0, Fate::Lost)], &[]), 0);
    assert_eq!(rounds_with(&[(0, Fate::Lost), (1, Fate::Lost)], &[]), 0);
}

#[test]
fn hu2_a_request_that_arrives_twice_brings_two_heads_and_one_body() {
    let mut scenario = dccp(file());
    scenario.up = scenario.up.with(0, TWICE);
    let outcome = scenario.run();
    assert!(outcome.whole().is_some(), "{outcome}");
    assert_eq!((outcome.answers, outcome.log.len()), (6, 1), "{outcome}");
}

#[test]
fn hu4_a_lost_head_is_sent_again_and_the_blocks_that_came_are_kept() {
    let mut scenario = dccp(file());
    scenario.down = scenario.down.with(0, Fate::Lost);
    let outcome = scenario.run();
    assert_eq!(outcome.whole(), Some(&noise(1, 5000)[..]), "{outcome}");
    assert_eq!(
        (outcome.answers, outcome.rounds()),
        (6, Some(0)),
        "{outcome}"
    );
}

#[test]
fn hu4_a_late_head_or_two_of_them_do_no_harm() {
    assert_eq!(rounds_with(&[], &[(0, LATE)]), 0);
    assert_eq!(rounds_with(&[], &[(0, TWICE)]), 0);
}

#[test]
fn hu10_a_lost_block_is_asked_for() {
    for lost in 1..=4 {
        assert_eq!(rounds_with(&[], &[(lost, Fate::Lost)]), 1);
    }
}

#[test]
fn hu10_a_lost_end_is_asked_for_when_nothing_more_comes() {
    assert_eq!(rounds_with(&[], &[(3, Fate::Lost), (4, Fate::Lost)]), 1);
    let everything: Vec<(u64, Fate)> = (1..=4).map(|index| (index, Fate::Lost)).collect();
    assert_eq!(rounds_with(&[], &everything), 1);
}

#[test]
fn hu8_late_and_doubled_blocks_do_no_harm() {
    let late = Fate::Late(Duration::from_millis(5));
    assert_eq!(rounds_with(&[], &[(1, late), (2, late)]), 0);
    let doubled: Vec<(u64, Fate)> = (0..=4).map(|index| (index, TWICE)).collect();
    assert_eq!(rounds_with(&[], &doubled), 0);
}

#[test]
fn hu10_a_lost_request_for_a_repair_is_sent_again() {
    assert_eq!(
        rounds_with(&[(1, Fate::Lost), (2, Fate::Lost)], &[(2, Fate::Lost)]),
        1
    );
}

#[test]
fn hu10_a_lost_head_of_a_repair_is_sent_again() {
    assert_eq!(rounds_with(&[], &[(2, Fate::Lost), (5, Fate::Lost)]), 1);
}

#[test]
fn hu10_a_repair_that_is_lost_is_repaired() {
    assert_eq!(
        rounds_with(&[], &[(2, Fate::Lost), (6, Fate::Lost), (8, Fate::Lost)]),
        3
    );
}

/// A file of a hundred blocks over a link of 10 Mbit/s that tells the client what is lost, with
/// these fates besides that block 10 is lost.
fn told(up: &[(u64, Fate)], down: &[(u64, Fate)]) -> Outcome {
    let content = noise(1, 100 * 1416);
    let mut scenario = dccp(File::new(content.clone()));
    scenario.down.tells_losses = true;
    scenario.down.rate = Some(1_250_000);
    scenario.down.queue = 5;
    scenario.down.fates.insert(10, Fate::Lost);
    scenario.up.fates.extend(up.iter().copied());
    scenario.down.fates.extend(down.iter().copied());
    let outcome = scenario.run();
    assert_eq!(outcome.whole(), Some(&content[..]), "{outcome}");
    outcome
}

#[test]
fn hu10_a_lost_block_is_repaired_while_others_come() {
    let outcome = told(&[], &[]);
    // 100 blocks, 2 heads, and the block that was lost.
    assert_eq!(
        (outcome.rounds(), outcome.answers),
        (Some(0), 103),
        "{outcome}"
    );
    assert_eq!(outcome.log.len(), 1, "{outcome}");
    let nothing_lost = told(&[], &[(10, LATE)]).time;
    assert!(
        outcome.time < nothing_lost + Duration::from_millis(3),
        "{outcome}"
    );
}

#[test]
fn hu10_a_late_block_is_not_asked_for_beside_a_lost_one() {
    let late = Fate::Late(Duration::from_micros(1500));
    let outcome = told(&[], &[(9, late)]);
    assert_eq!(
        (outcome.rounds(), outcome.answers),
        (Some(0), 103),
        "{outcome}"
    );
}

#[test]
fn hu10_a_lost_request_head_or_block_of_a_repair_beside_a_body_costs_no_round() {
    let repair = told(&[], &[]);
    // Which messages of the server the repair was.
    let transcript = repair.transcript.to_string();
    let mut answers = transcript.lines().filter(|line| line.contains("<-"));
    let head = answers.position(|line| line.contains("206")).unwrap() as u64;
    for (up, down) in [
        (&[(1, Fate::Lost)][..], &[][..]),
        (&[(1, TWICE)], &[]),
        (&[], &[(head, Fate::Lost)]),
        (&[], &[(head, TWICE), (head + 1, TWICE)]),
        (&[], &[(head + 1, Fate::Lost)]),
        (&[], &[(head, LATE), (head + 1, LATE)]),
        (&[(1, Fate::Lost)], &[(head + 60, Fate::Lost)]),
    ] {
        assert_eq!(told(up, down).rounds(), Some(0), "{up:?} {down:?}");
    }
    // Neither head nor block comes: the head is sent again, and the block is asked for again.
    let both = told(&[], &[(head, Fate::Lost), (head + 1, Fate::Lost)]);
    assert!(both.rounds() <= Some(1), "{both}");
}

#[test]
fn hu2_a_server_that_nothing_reaches_is_given_up() {
    let mut scenario = dccp(file());
    scenario.up.loss = 1000;
    scenario.server.request_timeout = Duration::from_secs(100);
    let outcome = scenario.run();
    assert_eq!(outcome.result, Err(Failure::NoAnswer), "{outcome}");
    assert_eq!(outcome.time, Duration::from_secs(30));
}

#[test]
fn hm3_the_end_of_the_connection_loses_what_is_under_way() {
    // Plain messages, and a server that closes behind the last of them.
    let mut scenario = dccp(file());
    scenario.client.framing = false;
    scenario.down = scenario.down.with(4, LATE);
    let outcome = scenario.run();
    let closed = Some(CloseReason::Graceful);
    assert!(
        matches!(&outcome.result, Err(Failure::Incomplete { why, .. }) if *why == closed),
        "{outcome}"
    );
}

#[test]
fn hu12_the_limit_of_the_path_shrinks_while_a_body_is_sent() {
    for after in 0..8 {
        for limit in [600, 1000] {
            let mut scenario = dccp(file());
            scenario.down.shrinks = Some((after, limit));
            let outcome = scenario.run();
            assert_eq!(outcome.whole(), Some(&noise(1, 5000)[..]), "{outcome}");
            assert_eq!(outcome.rounds(), Some(0));
        }
    }
}

#[test]
fn hu12_the_limit_of_the_path_shrinks_below_a_head() {
    let mut scenario = dccp(file());
    scenario.down.limit = 100;
    let outcome = scenario.run();
    assert_eq!(
        outcome.result,
        Err(Failure::Closed(CloseReason::Aborted)),
        "{outcome}"
    );
}

#[test]
fn hu12_a_full_queue_holds_up_and_loses_nothing() {
    let mut scenario = dccp(File::new(noise(1, 200_000)));
    scenario.down.rate = Some(100_000);
    scenario.down.queue = 5;
    let outcome = scenario.run();
    assert_eq!(outcome.whole(), Some(&noise(1, 200_000)[..]));
    assert_eq!(outcome.rounds(), Some(0), "{outcome}");
    assert!(outcome.time > Duration::from_secs(2));
}

// --- peers without the framing ----------------------------------------------------------------

/// A client that does not know the framing.
fn plain(length: usize) -> Outcome {
    let mut scenario = dccp(File::new(noise(1, length)));
    scenario.client.framing = false;
    let outcome = scenario.run();
    assert!(outcome.result.is_ok(), "{outcome}");
    assert_eq!(outcome.body, noise(1, length));
    outcome
}

#[test]
fn hu5_a_plain_answer_is_verified_only_if_its_body_is_one_message() {
    assert!(plain(1424).whole().is_some());
    assert!(plain(0).whole().is_some());
    assert!(plain(1425).whole().is_none());
}

#[test]
fn hu5_a_plain_answer_without_a_length_is_never_verified() {
    let mut scenario = dccp(File::new(noise(1, 100)));
    scenario.client.seed_form = true;
    let outcome = scenario.run();
    // Ours says the length, so it is.
    assert!(outcome.whole().is_some(), "{outcome}");
}

// --- files that change ------------------------------------------------------------------------

/// Gets a file of two versions over DCCP, the second from the second opening on.
fn changing(tag: Tag, digest: bool) -> Outcome {
    let versions = [noise(1, 5000), noise(2, 5000)];
    let mut scenario = dccp(File {
        versions: versions.to_vec(),
        changes: vec![1],
        tag,
        digest,
        ..File::new("")
    });
    scenario.down = scenario.down.with(2, Fate::Lost);
    let outcome = scenario.run();
    outcome.assert_lawful(&versions);
    assert_eq!(outcome.whole(), Some(&versions[1][..]), "{outcome}");
    outcome
}

#[test]
fn hg7_a_changed_file_with_a_strong_tag_is_sent_whole_in_the_first_round() {
    let outcome = changing(Tag::Strong, false);
    assert_eq!((outcome.heads, outcome.rounds()), (2, Some(1)), "{outcome}");
}

#[test]
fn hg7_a_changed_file_with_a_digest_is_asked_for_again() {
    let outcome = changing(Tag::Weak, true);
    assert_eq!((outcome.heads, outcome.rounds()), (2, Some(2)), "{outcome}");
}

#[test]
fn hg7_a_file_without_a_validator_is_always_asked_for_again() {
    let outcome = changing(Tag::Without, false);
    assert_eq!((outcome.heads, outcome.rounds()), (2, Some(1)), "{outcome}");
}

// --- over SCTP --------------------------------------------------------------------------------

#[test]
fn hm5_pieces_of_any_size_make_the_same_body() {
    for pieces in 1..=64 {
        let mut scenario = sctp(File::new(noise(1, 1500)));
        scenario.up.pieces = Some(pieces);
        scenario.down.pieces = Some(pieces);
        scenario.streams = pieces % 2 == 0;
        let outcome = scenario.run();
        assert_eq!(outcome.whole(), Some(&noise(1, 1500)[..]), "{outcome}");
    }
}

#[test]
fn ht1_a_request_on_any_stream_is_answered_there() {
    for stream in [0, 1, 9, 65_535] {
        let mut scenario = sctp(file());
        scenario.streams = true;
        scenario.client.stream = StreamId(stream);
        let outcome = scenario.run();
        assert_eq!(outcome.whole(), Some(&noise(1, 5000)[..]), "{outcome}");
    }
}

#[test]
fn hm2_a_file_that_breaks_off_is_never_called_whole() {
    for mut scenario in [sctp(file()), dccp(file())] {
        for streams in [false, scenario.client.delivery == Delivery::Reliable] {
            scenario.streams = streams;
            scenario.files.get_mut("f").unwrap().breaks_at = Some(2000);
            let outcome = scenario.clone().run();
            let aborted = Some(CloseReason::Aborted);
            assert!(
                matches!(&outcome.result, Err(Failure::Incomplete { why, .. }) if *why == aborted),
                "{outcome}"
            );
            assert!(!outcome.log[0].1.complete);
        }
    }
}

#[test]
fn a_site_that_reads_little_at_once_makes_the_same_body() {
    for mut scenario in [sctp(file()), dccp(file())] {
        scenario.files.get_mut("f").unwrap().read_size = 7;
        let outcome = scenario.run();
        assert_eq!(outcome.whole(), Some(&noise(1, 5000)[..]), "{outcome}");
    }
}

/// Runs with a change to the client, over both transports, and hands both outcomes on.
fn both(change: impl Fn(&mut client::Config)) -> [Outcome; 2] {
    [sctp(file()), dccp(file())].map(|mut scenario| {
        change(&mut scenario.client);
        scenario.run()
    })
}

#[test]
fn hr4_head_gets_the_head_alone() {
    for outcome in both(|client| client.method = Method::Head) {
        assert_eq!(
            (outcome.status(), outcome.answers),
            (Some(Status::OK), 1),
            "{outcome}"
        );
        assert_eq!(outcome.whole(), Some(&b""[..]));
    }
}

#[test]
fn hc5_a_file_that_the_client_has_is_not_sent() {
    for outcome in both(|client| client.fields.push("If-None-Match", *b"\"v0\"")) {
        assert_eq!(
            (outcome.status(), outcome.answers),
            (Some(Status::NOT_MODIFIED), 1)
        );
        assert!(outcome.result.is_ok(), "{outcome}");
    }
}

#[test]
fn hc1_a_file_that_is_not_the_one_meant_is_not_sent() {
    for outcome in both(|client| client.fields.push("If-Match", *b"\"other\"")) {
        assert_eq!(
            outcome.status(),
            Some(Status::PRECONDITION_FAILED),
            "{outcome}"
        );
        assert!(outcome.result.is_ok(), "{outcome}");
    }
}

#[test]
fn hg5_a_part_is_sent_alone() {
    for (wanted, from) in [
        (Wanted::Between(1000, 2999), 1000..3000),
        (Wanted::From(4990), 4990..5000),
        (Wanted::Last(10), 4990..5000),
    ] {
        for outcome in both(|client| client.range = Some(wanted)) {
            assert_eq!(outcome.status(), Some(Status::PARTIAL_CONTENT), "{outcome}");
            assert_eq!(outcome.whole(), Some(&noise(1, 5000)[from.clone()]));
        }
    }
}

#[test]
fn hg3_a_part_behind_the_end_is_416_with_the_length() {
    for outcome in both(|client| client.range = Some(Wanted::From(5000))) {
        assert_eq!(
            outcome.status(),
            Some(Status::RANGE_NOT_SATISFIABLE),
            "{outcome}"
        );
        let head = outcome.head.unwrap();
        let range = head.response.fields.single("Content-Range");
        assert_eq!(range, Some(&b"bytes */5000"[..]));
    }
}

#[test]
fn hg8_a_download_is_resumed_if_the_file_is_the_same_and_begun_anew_if_not() {
    for (tag, status, from) in [
        ("\"v0\"", Status::PARTIAL_CONTENT, 3000),
        ("\"old\"", Status::OK, 0),
    ] {
        let outcomes = both(|client| {
            client.range = Some(Wanted::From(3000));
            client.if_range = Some(tag.as_bytes().to_vec());
        });
        for outcome in outcomes {
            assert_eq!(outcome.status(), Some(status), "{outcome}");
            assert_eq!(outcome.whole(), Some(&noise(1, 5000)[from..]));
        }
    }
}

#[test]
fn hr10_a_missing_file_is_404_with_a_page() {
    for outcome in both(|client| client.target = "/nothing".to_owned()) {
        assert_eq!(outcome.status(), Some(Status::NOT_FOUND), "{outcome}");
        assert!(outcome.body.starts_with(b"<!DOCTYPE html>"));
        assert!(outcome.result.is_ok());
    }
}

#[test]
fn hs1_the_seed_form_gets_the_body_in_one_message() {
    let mut scenario = sctp(File::new(noise(1, 200_000)));
    scenario.client.seed_form = true;
    for streams in [false, true] {
        scenario.streams = streams;
        let outcome = scenario.clone().run();
        assert_eq!(outcome.answers, 2, "{outcome}");
        assert_eq!(outcome.whole(), Some(&noise(1, 200_000)[..]));
    }
}

// --- framing as text --------------------------------------------------------------------------

/// What a run looks like on the wire.
fn shown(title: &str, scenario: Scenario) -> String {
    let outcome = scenario.run();
    let result = match &outcome.result {
        Ok(Done { verified: true, .. }) => "whole".to_owned(),
        Ok(Done {
            verified: false, ..
        }) => "perhaps whole".to_owned(),
        Err(failure) => failure.to_string(),
    };
    format!("--- {title}: {result}\n{}\n", outcome.transcript)
}

fn with(mut scenario: Scenario, change: impl FnOnce(&mut Scenario)) -> Scenario {
    change(&mut scenario);
    scenario
}

/// The same file with a limit of messages from small to large.
fn sizes(delivery: Delivery) -> String {
    let file = File::new(noise(1, 40_000));
    let small = File::new(noise(1, 2000));
    [(576, small.clone()), (1424, small), (16_384, file)]
        .map(|(limit, file)| {
            let title = format!("{} bytes, limit {limit}", file.versions[0].len());
            shown(&title, Scenario::new(delivery, file, limit))
        })
        .concat()
}

/// Answers that are not the whole file.
fn others(scenario: &Scenario) -> String {
    let client = |change: fn(&mut client::Config)| {
        with(scenario.clone(), |scenario| change(&mut scenario.client))
    };
    [
        shown(
            "one part",
            client(|client| client.range = Some(Wanted::Between(100, 1999))),
        ),
        shown(
            "not modified",
            client(|client| client.fields.push("If-None-Match", *b"\"v0\"")),
        ),
        shown(
            "missing",
            client(|client| client.target = "/nothing".to_owned()),
        ),
        shown(
            "no such part",
            client(|client| client.range = Some(Wanted::From(9999))),
        ),
        shown("head alone", client(|client| client.method = Method::Head)),
        shown("the seed's form", client(|client| client.seed_form = true)),
    ]
    .concat()
}

#[test]
fn hm9_framing_over_sctp_by_size() {
    insta::assert_snapshot!(sizes(Delivery::Reliable));
}

#[test]
fn hu8_framing_over_dccp_by_size() {
    insta::assert_snapshot!(sizes(Delivery::Unreliable));
}

#[test]
fn hm9_other_answers_over_sctp() {
    insta::assert_snapshot!(others(&sctp(file())));
}

#[test]
fn hu8_other_answers_over_dccp() {
    insta::assert_snapshot!(others(&dccp(file())));
}

#[test]
fn hu10_repairs_beside_a_body_over_dccp() {
    let scenario = with(dccp(File::new(noise(1, 20 * 1416))), |scenario| {
        scenario.down.tells_losses = true;
        scenario.down.rate = Some(300_000);
        scenario.down.queue = 5;
        for lost in [3, 5] {
            scenario.down.fates.insert(lost, Fate::Lost);
        }
    });
    insta::assert_snapshot!(shown("two holes while the body flows", scenario));
}

#[test]
fn hu10_repairs_over_dccp() {
    let damaged = |file: File| {
        with(dccp(file), |scenario| {
            scenario.down = scenario
                .down
                .clone()
                .with(1, Fate::Lost)
                .with(3, Fate::Lost);
        })
    };
    let changed = File {
        versions: vec![noise(1, 5000), noise(2, 3000)],
        changes: vec![1],
        ..file()
    };
    let shown = [
        shown("two holes", damaged(file())),
        shown("two holes, and the file changed", damaged(changed.clone())),
        shown(
            "two holes, and the file changed, which has no strong tag",
            damaged(File {
                tag: Tag::Weak,
                ..changed
            }),
        ),
        shown(
            "the head is lost",
            with(dccp(file()), |scenario| {
                scenario.down = Link::unreliable(1424).with(0, Fate::Lost);
            }),
        ),
    ]
    .concat();
    insta::assert_snapshot!(shown);
}
