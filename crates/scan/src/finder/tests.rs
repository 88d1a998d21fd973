use proptest::prelude::*;
use tollgate_core::{
    Timestamp, World,
    secret::{PlainKey, Presented},
    world::{Clock, Entropy},
};

use super::*;

/// Bytes from a seed (SplitMix64): another key for each.
struct Seeded(std::cell::Cell<u64>);
struct Never;

impl Clock for Never {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }
}
struct Seed(std::sync::Mutex<Seeded>);
impl Entropy for Seed {
    fn fill(&self, buffer: &mut [u8]) {
        let seeded = self.0.lock().unwrap();
        for byte in buffer {
            let next = seeded.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            seeded.0.set(next);
            let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed ^ (mixed >> 31)).to_le_bytes()[0];
        }
    }
}

fn key(prefix: &Prefix, seed: u64) -> String {
    let world = World::new(Never, Seed(std::sync::Mutex::new(Seeded(std::cell::Cell::new(seed)))));
    PlainKey::mint(prefix, &world).expose().to_owned()
}

fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let value = (bits >> (18 - 6 * index) & 63) as usize;
            text.push(if index > group.len() { '=' } else { char::from(ALPHABET[value]) });
        }
    }
    text
}

fn wrapped(text: &str, width: usize, glue: &str) -> String {
    text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join(glue)
}

fn escaped(key: &str, mask: u128, escape: impl Fn(u8) -> String) -> String {
    key.bytes()
        .enumerate()
        .map(|(index, byte)| if mask >> index & 1 == 1 { escape(byte) } else { char::from(byte).to_string() })
        .collect()
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

const GLUES: [&str; 16] = [
    "\n",
    "\r\n",
    "\n    ",
    "\\\n",
    "\\\n\t",
    "\\n",
    "\\r\\n",
    "\" +\n    \"",
    "\" \"",
    "' . '",
    "=\n",
    "\n> ",
    "\n+",
    "<wbr>",
    "\u{200b}",
    "\\\\n",
];

/// Every way in which a key is hidden here, by name.
fn forms(key: &str, cut: usize, mask: u128, before: &str) -> Vec<(String, Vec<u8>, Form)> {
    let mask = if mask & ((1 << key.len()) - 1) == 0 { 1 } else { mask };
    let mut forms: Vec<(String, Vec<u8>, Form)> = vec![
        ("plain".into(), key.into(), Form::Plain),
        ("underscores as %5F".into(), key.replace('_', "%5F").into(), Form::Escaped),
        ("underscores as %5f".into(), key.replace('_', "%5f").into(), Form::Escaped),
        ("underscores as %255F".into(), key.replace('_', "%255F").into(), Form::Escaped),
        ("Markdown".into(), key.replace('_', "\\_").into(), Form::Escaped),
        ("named entity".into(), key.replace('_', "&lowbar;").into(), Form::Escaped),
        ("quoted-printable".into(), key.replace('_', "=5F").into(), Form::Escaped),
        ("UTF-16LE".into(), utf16(key, false), Form::Wide),
        ("UTF-16BE".into(), utf16(key, true), Form::Wide),
        ("UTF-32LE".into(), key.bytes().flat_map(|byte| [byte, 0, 0, 0]).collect(), Form::Wide),
        ("hex".into(), key.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into(), Form::Hex),
        ("HEX".into(), key.bytes().map(|byte| format!("{byte:02X}")).collect::<String>().into(), Form::Hex),
    ];
    type Escape = fn(u8) -> String;
    let escapes: [(&str, Escape); 9] = [
        ("JSON", |byte| format!("\\u{byte:04x}")),
        ("JSON, upper case", |byte| format!("\\u{byte:04X}")),
        ("JSON in JSON", |byte| format!("\\\\u{byte:04x}")),
        ("URL", |byte| format!("%{byte:02X}")),
        ("hexadecimal escape", |byte| format!("\\x{byte:02x}")),
        ("octal escape", |byte| format!("\\{byte:03o}")),
        ("Rust", |byte| format!("\\u{{{byte:x}}}")),
        ("HTML", |byte| format!("&#{byte};")),
        ("HTML, hexadecimal", |byte| format!("&#x{byte:X};")),
    ];
    for (name, escape) in escapes {
        forms.push((format!("{name}: some"), escaped(key, mask, escape).into(), Form::Escaped));
        forms.push((format!("{name}: all"), escaped(key, u128::MAX, escape).into(), Form::Escaped));
    }
    for glue in GLUES {
        let (head, tail) = key.split_at(1 + cut % (key.len() - 1));
        forms.push((format!("split by {glue:?}"), format!("{head}{glue}{tail}").into(), Form::Split));
    }
    let within = format!("{before}{key}: and more behind it");
    let once = encode(within.as_bytes());
    forms.push(("base64".into(), once.clone().into(), Form::Base64));
    forms.push(("base64, URL-safe".into(), once.replace('+', "-").replace('/', "_").into(), Form::Base64));
    forms.push(("base64 of UTF-16".into(), encode(&utf16(&within, false)).into(), Form::Base64));
    forms.push(("base64 twice".into(), encode(format!("{before}{once}").as_bytes()).into(), Form::Base64Twice));
    let long = encode(format!("{}{within}", "x".repeat(cut)).as_bytes());
    for (width, glue) in [(64, "\n"), (76, "\r\n"), (76, "\\n"), (64, "\n      "), (48, "\n")] {
        let name = format!("base64 in lines of {width} between {glue:?}");
        forms.push((name, wrapped(&long, width, glue).into(), Form::Base64));
    }
    forms
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_planted_key_is_found_in_every_form_wherever_it_stands(
        seed: u64,
        token: bool,
        prefix_text in "tg|sk|acme|[a-z0-9]{2,12}",
        cut in 0usize..200,
        mask: u128,
        before in "[ -~\n]{0,40}",
        behind in "[ -~\n]{0,40}",
    ) {
        let deployment = prefix(&prefix_text);
        let made_for = if token { deployment.for_access_tokens() } else { deployment };
        let key = key(&made_for, seed);
        let finder = Finder::new(&[deployment]);
        for (name, hidden, form) in forms(&key, cut, mask, &before) {
            // What stands around is apart from it, as in any text: a letter before would belong to an escape or to base64.
            let text = [before.as_bytes(), b" ", &hidden, b" ", behind.as_bytes()].concat();
            let finds = finder.find(&text);
            prop_assert_eq!(finds.len(), 1, "{}: {} in {:?}", name, key, String::from_utf8_lossy(&text));
            let find = &finds[0];
            prop_assert_eq!(find.key.expose(), &key, "{}", name);
            prop_assert_eq!(find.form, form, "{}", name);
            let begin = before.len() + 1;
            prop_assert!(find.start >= begin && find.end <= begin + hidden.len() && find.start < find.end, "{}", name);
        }
    }

    #[test]
    fn a_look_alike_is_never_found(seed: u64, at in 0usize..65, other in "[0-9A-Za-z]", cut in 0usize..200, mask: u128) {
        let genuine = key(&Prefix::default(), seed);
        let mut text = genuine.clone().into_bytes();
        text[at] = other.as_bytes()[0];
        prop_assume!(Presented::parse(&text).is_err());
        let look_alike = String::from_utf8(text).unwrap();
        let finder = Finder::new(&[Prefix::default()]);
        for (name, hidden, _) in forms(&look_alike, cut, mask, "before") {
            prop_assert_eq!(finder.find(&hidden), vec![], "{}", name);
        }
    }

    #[test]
    fn whatever_the_bytes_are_it_ends(bytes: Vec<u8>, text in "[tga_0-9%\\\\u\"\n =&#x;+]{0,400}") {
        let finder = Finder::new(&[Prefix::default(), prefix("sk")]);
        prop_assert_eq!(finder.find(&bytes), vec![]);
        prop_assert_eq!(finder.find(text.as_bytes()), vec![]);
    }
}

#[test]
fn several_keys_of_several_prefixes_are_found_in_order() {
    let prefixes = [prefix("tg"), prefix("old")];
    let keys = [key(&prefixes[0], 1), key(&prefixes[1].for_access_tokens(), 2), key(&prefixes[0], 3)];
    let text = format!("a={}\nb={}{}\n", keys[0], keys[1], keys[2]);
    let finds = Finder::new(&prefixes).find(text.as_bytes());
    assert_eq!(finds.iter().map(|find| find.key.expose()).collect::<Vec<_>>(), keys);
    // Not of a prefix that was not asked for.
    assert_eq!(Finder::new(&prefixes[1..]).find(text.as_bytes()).len(), 1);
}

#[test]
fn sign_in_links_and_invitations_are_no_keys() {
    let finder = Finder::new(&[Prefix::default()]);
    for made_for in [Prefix::default().for_sessions(), Prefix::default().for_invitations()] {
        assert_eq!(finder.find(key(&made_for, 5).as_bytes()), vec![]);
    }
}

#[test]
fn a_find_tells_the_hint_and_never_the_key() {
    let key = key(&Prefix::default(), 9);
    let find = Finder::new(&[Prefix::default()]).find(key.as_bytes()).remove(0);
    let shown = format!("{find:?}");
    assert!(shown.contains(&key[..15]) && !shown.contains(&key[16..30]), "{shown}");
}

#[test]
fn a_text_made_to_be_slow_is_read_in_a_bounded_number_of_steps() {
    // Each place begins like a key and goes on as long as it may: the work for each is bounded, so the whole is linear.
    let finder = Finder::new(&[Prefix::default()]);
    for unit in ["tg_", "tg\n", "tg_aaaaaaaaaaaa_", "t\\\n", "\\u0074", "g_ ", " a_", "dGdf", "ZEdkZ"] {
        let text = unit.repeat((1 << 20) / unit.len());
        assert_eq!(finder.find(text.as_bytes()), vec![], "{unit:?}");
    }
}

#[test]
fn a_quoted_line_behind_an_open_tag_hides_no_key() {
    let key = key(&Prefix::default(), 7);
    let text = format!("<A {}\n> {} ", &key[..1], &key[1..]);
    let finds = Finder::new(&[Prefix::default()]).find(text.as_bytes());
    assert_eq!(finds.iter().map(|find| find.key.expose()).collect::<Vec<_>>(), [&key]);
}
