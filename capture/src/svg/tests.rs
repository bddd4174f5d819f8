use std::time::Duration;

use super::*;

fn step(millis: u64, side: Side, act: Act, words: &str) -> Step {
    Step {
        at: Duration::from_millis(millis),
        side,
        act,
        words: words.into(),
    }
}

/// Checks that tags are closed in order and that nothing else has a `<`: what an XML parser would
/// stumble over first.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(
            !text.contains('>') || open.last() == Some(&"style"),
            "{text}"
        );
        for escape in text.split('&').skip(1) {
            assert!(
                ["amp;", "lt;", "gt;", "quot;"]
                    .iter()
                    .any(|known| escape.starts_with(known)),
                "{escape}"
            );
        }
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_diagram_of_a_page() {
    let mut ladder = Ladder::new("client", "server", 50);
    ladder.push(step(0, Side::Left, Act::Packet, "Request(seq 0)"));
    ladder.push(step(
        20,
        Side::Right,
        Act::LostPacket,
        "Response(seq 0, ack 0)",
    ));
    ladder.push(step(30, Side::Right, Act::Note, "is closed"));
    let mut window = Series::new(100);
    for number in 0..20_u32 {
        window.push(
            Duration::from_millis(u64::from(number) * 10),
            f64::from(number),
        );
    }
    let plots = [
        Plot {
            title: "congestion window",
            unit: "packets",
            series: &window,
        },
        Plot {
            title: "nothing was measured",
            unit: "ms",
            series: &Series::new(2),
        },
    ];
    let diagram = Diagram {
        title: "GET / & more",
        ladder: &ladder,
        plots: &plots,
    };
    let svg = diagram.to_string();
    assert_well_formed(&svg);
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "));
    assert!(svg.contains("<title>GET / &amp; more</title>"));
    for words in [
        "Request(seq 0)",
        "0.00 ms",
        "is closed",
        "congestion window (packets)",
    ] {
        assert!(svg.contains(words), "{words}");
    }
    assert!(!svg.contains("nothing was measured"));
    assert_eq!(svg.matches("class=\"lost\"").count(), 1);
    // 20 points, one head of an arrow.
    assert_eq!(svg.matches("<path class=\"left\"").count(), 1);
    let curve = svg
        .split("points=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(curve.split_whitespace().count(), 20);
    // It needs nothing from elsewhere.
    assert_eq!(svg.matches("http").count(), 1);
    assert!(!svg.contains("url(") && !svg.contains("href"));
}

#[test]
fn a_peers_bytes_are_no_markup() {
    let mut ladder = Ladder::new("<client>", "server", 50);
    let words = "</text><script>alert(\"1\")</script> \u{0}\u{fffe} &amp;";
    ladder.push(step(0, Side::Left, Act::Packet, words));
    let diagram = Diagram {
        title: "\u{8}<x>",
        ladder: &ladder,
        plots: &[],
    };
    let svg = diagram.to_string();
    assert_well_formed(&svg);
    assert!(!svg.contains("<script"));
    assert!(svg.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn long_words_and_many_steps_fit() {
    let mut ladder = Ladder::new("client", "server", 3);
    for number in 0..50 {
        ladder.push(step(number, Side::Left, Act::Packet, &"word ".repeat(100)));
    }
    let svg = Diagram {
        title: "t",
        ladder: &ladder,
        plots: &[],
    }
    .to_string();
    assert_well_formed(&svg);
    assert!(svg.contains("44 steps not shown"));
    for text in svg.split("<text ").skip(1) {
        let words = text.split_once('>').unwrap().1.split('<').next().unwrap();
        assert!(words.chars().count() <= CHARACTERS, "{words}");
    }
    let height: u32 = svg
        .split("height=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(height > 6 * 5 * LINE, "{height}");
}
