//! `--json`, `--write-out` and `--dump-header`.

use std::fs;

use serde_json::Value;

use crate::odd::{Odd, answer};
use crate::server::{BOTH, Server, ends_with, noise, stderr, stdout};

#[test]
fn json_tells_all_of_a_transfer() {
    for proto in BOTH {
        let server = Server::start(proto);
        let content = noise(300_000);
        server.put("x.bin", &content);
        let folder = tempfile::tempdir().unwrap();
        let output = ends_with(
            0,
            &mut server.place.get(folder.path(), "/x.bin", &["--json"]),
        );
        let text = stdout(&output);
        assert_eq!(text.lines().count(), 1, "{text}");
        let report: Value = serde_json::from_str(&text).unwrap();
        let url = format!("http+{proto}://{}/x.bin", server.place.address);
        assert_eq!(report["url"], *url);
        assert_eq!(report["http_code"], 200);
        assert_eq!(report["filename_effective"], "x.bin");
        assert_eq!(report["size_download"], content.len());
        assert_eq!(report["proto"], proto);
        let carrier = format!("udp port {}", server.place.udp_port);
        assert_eq!(report["carrier"], *carrier);
        assert_eq!(report["remote_ip"], "127.0.0.1");
        assert_eq!(report["exitcode"], 0);
        assert_eq!(report["errormsg"], Value::Null);
        let number = |name: &str| report[name].as_f64().expect(name);
        assert!(number("time_namelookup") <= number("time_connect"));
        assert!(number("time_connect") <= number("time_starttransfer"));
        assert!(number("time_starttransfer") <= number("time_total"));
        assert!(number("speed_download") > 0.0);
        // Both stacks know these.
        assert!(number("packets_sent") >= 2.0 && number("packets_received") >= 2.0);
        assert!(number("srtt") > 0.0 && number("cwnd") > 0.0);
        if proto == "sctp" {
            assert!(number("streams") >= 1.0);
            assert_eq!(report["retransmissions"], 0);
            assert_eq!(report["ccid"], Value::Null);
            assert_eq!(report["repair_rounds"], Value::Null);
        } else {
            assert_eq!(report["ccid"], 2);
            assert!(report["repair_rounds"].is_u64());
            assert_eq!(report["digest"], "Repr-Digest");
        }
    }
}

#[test]
fn json_stands_aside_for_a_body_and_tells_of_failures() {
    let server = Server::start("sctp");
    server.put("x", b"body");
    let folder = tempfile::tempdir().unwrap();
    let mut get = server
        .place
        .get(folder.path(), "/x", &["--json", "-o", "-"]);
    let output = ends_with(0, &mut get);
    assert_eq!(stdout(&output), "body");
    let report: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(report["size_download"], 4);
    let mut get = server.place.get(folder.path(), "/missing", &["--json"]);
    let output = ends_with(22, &mut get);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["exitcode"], 22);
    assert_eq!(report["http_code"], 404);
    assert_eq!(report["errormsg"], "the server answered 404 Not Found");
    assert_eq!(report["filename_effective"], Value::Null);
    // A server that is not there.
    let output = crate::server::cli()
        .args(["get", "--via", "udp", "--udp-port", "9", "--json", "/x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["exitcode"], 7);
    assert_eq!(report["carrier"], Value::Null);
}

#[test]
fn several_targets_have_a_line_each_and_share_the_connection() {
    let server = Server::start("sctp");
    for name in ["a", "b", "c"] {
        server.put(name, &noise(2000));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut get = server.place.client(folder.path(), &["--json", "--silent"]);
    get.args(["/a", "/b", "/c"].map(|path| server.place.target(path)));
    let output = ends_with(0, &mut get);
    let reports: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(reports.len(), 3);
    let connects = reports
        .iter()
        .map(|report| report["num_connects"].as_u64().unwrap());
    assert_eq!(connects.sum::<u64>(), 1);
    let ports = reports.iter().map(|report| &report["remote_port"]);
    assert!(
        ports
            .collect::<Vec<_>>()
            .windows(2)
            .all(|two| two[0] == two[1])
    );
}

#[test]
fn a_format_is_written_after_each_target() {
    let server = Server::start("sctp");
    server.put("x.txt", b"12345");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("format"), r"[%{size_download}]\n").unwrap();
    let run = |format: &str, arguments: &[&str]| {
        let arguments = [&["-w", format], arguments].concat();
        let mut get = server.place.get(folder.path(), "/x.txt", &arguments);
        let output = ends_with(0, &mut get);
        (stdout(&output), stderr(&output))
    };
    let (out, _) = run(
        r"%{http_code}\t%{content_type} %{filename_effective} 100%%\n",
        &[],
    );
    assert_eq!(out, "200\ttext/plain; charset=utf-8 x.txt 100%\n");
    assert_eq!(run("@format", &[]).0, "[5]\n");
    assert_eq!(run("!", &["-o", "-"]).0, "12345!");
    let (out, told) = run("a%{stderr}b%{stdout}c", &["-s"]);
    assert_eq!((out.as_str(), told.as_str()), ("ac", "b"));
    let times = run("%{time_connect} %{time_total}", &[]).0;
    let times: Vec<f64> = times.split(' ').map(|time| time.parse().unwrap()).collect();
    assert!(times[0] > 0.0 && times[0] <= times[1]);
    let json: Value = serde_json::from_str(&run("%{json}", &[]).0).unwrap();
    assert_eq!(json["response_code"], Value::Null);
    assert_eq!(json["http_code"], 200);
    ends_with(
        2,
        &mut server
            .place
            .get(folder.path(), "/x.txt", &["-w", "%{nothing}"]),
    );
}

#[test]
fn all_heads_are_dumped_those_of_redirects_too() {
    let server = Odd::start("sctp", |request| {
        if request.starts_with("GET /a ") {
            answer("302 Found", "Location: /b\r\n", "")
        } else {
            answer("200 OK", "X-Here: yes\r\n", "body")
        }
    });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("heads"), "old").unwrap();
    let get = |file: &str| {
        server
            .place
            .get(folder.path(), "/a", &["-L", "-D", file, "-o", "-"])
    };
    let output = ends_with(0, &mut get("heads"));
    assert_eq!(stdout(&output), "body");
    let heads = fs::read_to_string(folder.path().join("heads")).unwrap();
    let expected = "HTTP/1.0 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n\
                    HTTP/1.0 200 OK\r\nX-Here: yes\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(heads, expected);
    assert_eq!(
        stdout(&ends_with(0, &mut get("-"))),
        format!("{expected}body")
    );
    ends_with(23, &mut get("no-such-folder/heads"));
}
