use proptest::prelude::*;

use super::*;

/// SHA-256 of nothing.
const OF_NOTHING: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];
const FIELD: &str = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";

fn sha256(field: &str) -> Option<[u8; 32]> {
    Digests::parse(field.as_bytes()).sha256
}

/// Whether a field with `member` in front of a good digest still parses.
fn is_parsed(member: &str) -> bool {
    sha256(&format!("{member}, {FIELD}")).is_some()
}

#[test]
fn hd1_a_digest_is_written_as_a_byte_sequence() {
    assert_eq!(write_sha256(&OF_NOTHING), FIELD);
    assert_eq!(sha256(FIELD), Some(OF_NOTHING));
}

#[test]
fn hd1_the_examples_of_the_rfc_are_read_and_written_back() {
    for base64 in [
        "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=",
        "jjcgBDWNAtbYUXI37CVG3gRuGOAjaaDRGpIUFsdyepQ=",
    ] {
        let field = format!("sha-256=:{base64}:");
        assert_eq!(write_sha256(&sha256(&field).unwrap()), field);
    }
}

#[test]
fn hd3_sha_256_and_sha_512_are_read_and_others_skipped() {
    let sha512 = STANDARD.encode([7; 64]);
    let field = format!("md5=:AAAA:, sha-512=:{sha512}:,\t{FIELD};q=1, crc32c=:AAAAAA==:");
    let digests = Digests::parse(field.as_bytes());
    assert_eq!(digests.sha256, Some(OF_NOTHING));
    assert_eq!(digests.sha512, Some([7; 64]));
}

#[test]
fn hd2_the_last_of_a_repeated_key_counts() {
    let zeros = STANDARD.encode([0; 32]);
    assert_eq!(
        sha256(&format!("sha-256=:{zeros}:, {FIELD}")),
        Some(OF_NOTHING)
    );
    assert_eq!(
        sha256(&format!("{FIELD}, sha-256=:{zeros}:")),
        Some([0; 32])
    );
    assert_eq!(sha256(&format!("{FIELD}, sha-256=1")), None);
    assert_eq!(sha256(&format!("{FIELD}, sha-256")), None);
}

#[test]
fn hd2_a_digest_of_the_wrong_type_or_length_is_absent() {
    for field in [
        "",
        "sha-256",
        "sha-256=1",
        "sha-256=\"47DEQpj8HBSa\"",
        "sha-256=::",
        "sha-256=:AAAA:",
        &FIELD.replace("sha-256", "sha-512"),
        &FIELD.replace("sha-256", "sha256"),
        &FIELD.replace("-256=", "-256=(").replace("U=:", "U=:)"),
    ] {
        assert_eq!(Digests::parse(field.as_bytes()), Digests::default());
    }
}

#[test]
fn hd2_base64_may_lack_padding_and_have_stray_bits() {
    assert_eq!(sha256(&FIELD.replace("U=:", "U:")), Some(OF_NOTHING));
    assert_eq!(sha256(&FIELD.replace("U=:", "V=:")), Some(OF_NOTHING));
}

#[test]
fn hd2_members_of_every_type_are_skipped() {
    for member in [
        "a",
        "a;p",
        "a;p=1;q=\"x\"; r=?0",
        "*._-*9=1",
        "a=0",
        "a=-999999999999999",
        "a=999999999999.999",
        "a=-0.5;p",
        "a=\"\"",
        "a=\"x, \\\" \\\\ ;=\"",
        "a=tok!#$%&'*+-.^_`|~:/n",
        "a=*",
        "a=::",
        "a=:YQ==:",
        "a=:YQ:",
        "a=?1",
        "a=()",
        "a=( 1  \"x\";p=2 tok ?0 :YQ==: )",
        "a=(1 2);p=3",
        "a=(1;p)",
    ] {
        assert!(is_parsed(member), "{member}");
    }
    assert_eq!(sha256(&format!("  {FIELD}  ")), Some(OF_NOTHING));
    assert_eq!(sha256(&format!("a\t,\t{FIELD}\t")), Some(OF_NOTHING));
}

#[test]
fn hd2_a_field_that_does_not_parse_has_no_digest_at_all() {
    for member in [
        "",
        "A",
        "1",
        "a=",
        "a =1",
        "a= 1",
        "a b",
        "a;",
        "a;P",
        "a;p=",
        "a;p=()",
        "a ;p",
        "a=-",
        "a=--1",
        "a=+1",
        "a=1234567890123456",
        "a=1.",
        "a=.1",
        "a=1.2345",
        "a=1.2.3",
        "a=1234567890123.1",
        "a=\"x",
        "a=\"\\x\"",
        "a=\"\\",
        "a=\"\t\"",
        "a=\"\u{e4}\"",
        "a=t\u{e4}",
        "\u{e4}",
        "a=:YQ==",
        "a=:Y:",
        "a=:Y Q:",
        "a=:Y=Q=:",
        "a=:-_:",
        "a=:====:",
        "a=?",
        "a=?2",
        "a=?true",
        "a=(",
        "a=(1",
        "a=(1,2)",
        "a=(1\t2)",
        "a=(1\"x\")",
        "a=((1))",
        "a=(1 2))",
        "a=@1",
    ] {
        assert!(!is_parsed(member), "{member:?}");
    }
    for field in [
        format!("{FIELD},"),
        format!("{FIELD}, "),
        format!(",{FIELD}"),
        format!("\t{FIELD}"),
        format!("{FIELD}{FIELD}"),
        format!("{FIELD} {FIELD}"),
        FIELD.replace("sha-256=:", "sha-256=:\n"),
    ] {
        assert_eq!(sha256(&field), None, "{field:?}");
    }
}

#[test]
fn hd4_sha_256_is_wanted_with_a_preference_of_1_to_10() {
    for wanting in [
        "sha-256=1",
        "sha-256=10",
        "sha-256=10, sha-512=3",
        "sha-512=3, sha-256=10, unixsum=0",
        "sha-256=0,sha-256=5;x",
    ] {
        assert!(wants_sha256(wanting.as_bytes()), "{wanting}");
    }
    for not_wanting in [
        "",
        "sha-256=0",
        "sha-256=-0",
        "sha-256=-1",
        "sha-256=11",
        "sha-256=1.0",
        "sha-256",
        "sha-256=\"1\"",
        "sha-512=1",
        "SHA-256=1",
        "sha-256=1,",
        "sha-256=1, sha-256=0",
        "sha-256=1, md5=",
    ] {
        assert!(!wants_sha256(not_wanting.as_bytes()), "{not_wanting}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(digest: [u8; 32]) {
        prop_assert_eq!(sha256(&write_sha256(&digest)), Some(digest));
    }

    #[test]
    fn no_bytes_panic(field: Vec<u8>) {
        Digests::parse(&field);
        wants_sha256(&field);
    }

    #[test]
    fn no_likely_text_panics(field in "sha-256=[-a-c0-2=:;,()?.\"\\\\ ]{0,30}") {
        Digests::parse(field.as_bytes());
        wants_sha256(field.as_bytes());
    }
}
