//! A line of the access log for programs.

use proto::date::HttpDate;
use serde::Serialize;
use transport::LogEntry;

use super::Client;
use crate::terminal::printable;

/// What is not known is not there, but for the status.
#[derive(Serialize)]
struct Line<'a> {
    /// When the answer ended, as RFC 3339 writes it.
    time: String,
    peer: String,
    port: u16,
    proto: &'a str,
    carrier: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    /// The request line, escaped as in the other formats.
    line: &'a str,
    /// `null`: the connection ended before an answer was known.
    status: Option<u16>,
    /// Of the body.
    bytes: u64,
    /// Seconds from the request to the last byte handed to the transport.
    duration: f64,
    /// Whether all of the answer was handed to the transport.
    complete: bool,
    /// Why the request was refused.
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

/// The line with its end.
pub(super) fn line(client: &Client, date: HttpDate, entry: &LogEntry<'_>) -> String {
    let field = |name| {
        let value = entry.request?.fields.single(name)?;
        Some(printable(value))
    };
    let line = Line {
        time: date.rfc3339(),
        peer: client.peer.ip().to_canonical().to_string(),
        port: client.peer.port(),
        proto: client.way.protocol,
        carrier: client.way.carrier,
        stream: entry.stream.map(|stream| stream.0),
        method: entry.request.map(|request| request.method.to_string()),
        target: entry.request.map(|request| request.target.as_str()),
        line: entry.line,
        status: entry.summary.status.map(proto::status::Status::code),
        bytes: entry.summary.body_bytes,
        duration: entry.took.as_secs_f64(),
        complete: entry.summary.complete,
        reason: entry.reason,
        referer: field("Referer"),
        user_agent: field("User-Agent"),
    };
    // Numbers and strings are always JSON.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::machine::StreamId;
    use proto::request::{Limits, parse};
    use proto::server::Summary;
    use proto::status::Status;

    use super::*;
    use crate::access_log::Way;

    #[test]
    fn an_object_in_a_line_has_all_that_is_known() {
        let head = b"GET /a%20b HTTP/1.0\r\nUser-Agent: \"x\"\t\x80\r\n\r\n";
        let request = parse(head, &Limits::default()).unwrap();
        let client = Client {
            peer: "[2001:db8::1]:5".parse().unwrap(),
            way: Way {
                protocol: "sctp",
                carrier: "udp",
            },
        };
        let mut entry = LogEntry {
            line: "GET /a%20b HTTP/1.0",
            request: Some(&request),
            reason: "",
            summary: Summary {
                status: Some(Status::OK),
                body_bytes: 7,
                complete: true,
            },
            stream: Some(StreamId(3)),
            took: Duration::from_millis(1500),
        };
        let date = HttpDate::from_unix(971_186_136);
        assert_eq!(
            line(&client, date, &entry),
            concat!(
                r#"{"time":"2000-10-10T13:55:36Z","peer":"2001:db8::1","port":5,"proto":"sctp","#,
                r#""carrier":"udp","stream":3,"method":"GET","target":"/a%20b","#,
                r#""line":"GET /a%20b HTTP/1.0","status":200,"bytes":7,"duration":1.5,"#,
                r#""complete":true,"user_agent":"\"x\"\\u{9}\\x80"}"#,
                "\n"
            )
        );
        (entry.request, entry.line, entry.reason) = (None, "GET foo\\x07", "because");
        (entry.summary.status, entry.summary.complete, entry.stream) = (None, false, None);
        assert_eq!(
            line(&client, date, &entry),
            concat!(
                r#"{"time":"2000-10-10T13:55:36Z","peer":"2001:db8::1","port":5,"proto":"sctp","#,
                r#""carrier":"udp","line":"GET foo\\x07","status":null,"bytes":7,"duration":1.5,"#,
                r#""complete":false,"reason":"because"}"#,
                "\n"
            )
        );
    }
}
