//! Keys as they leak: texts of the published form, hidden in the ways in which people hide them without meaning to.
//!
//! Made here from what docs and INTERFACE say of a key, not by Tollgate's own code.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use zip::write::SimpleFileOptions;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Makes texts of keys from a seed (SplitMix64): the same ones in each run.
#[derive(Debug)]
pub struct Keys(u64);

impl Keys {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
    fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(ALPHABET[self.below(62)])).collect()
    }
    /// A key.
    pub fn key(&mut self, prefix: &str) -> String {
        let public = format!("{prefix}_{}", self.digits(12));
        self.key_of(&public)
    }
    /// A key whose prefix and public id are these.
    pub fn key_of(&mut self, public: &str) -> String {
        let head = format!("{public}_{}", self.digits(43));
        format!("{head}{}", checksum(&head))
    }
    /// What looks like a key and has a wrong checksum.
    pub fn look_alike(&mut self, prefix: &str) -> String {
        let key = self.key(prefix);
        let (head, last) = key.split_at(key.len() - 1);
        format!("{head}{}", if last == "z" { "0" } else { "z" })
    }
}

/// CRC-32 (IEEE 802.3) in base 62, six digits.
fn checksum(text: &str) -> String {
    let crc = !text.bytes().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    (0..6).rev().map(|place| char::from(ALPHABET[(crc / 62u32.pow(place) % 62) as usize])).collect()
}

/// Base64 (RFC 4648).
#[must_use]
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    let mut text = String::new();
    for group in bytes.as_ref().chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let value = (bits >> (18 - 6 * index) & 63) as usize;
            text.push(if index > group.len() { '=' } else { char::from(BASE64[value]) });
        }
    }
    text
}

/// One file in a ZIP archive.
#[must_use]
pub fn zip(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    archive.start_file(name, options).expect("a member");
    archive.write_all(content).expect("memory");
    archive.finish().expect("an archive").into_inner()
}

/// One file in a tar archive.
#[must_use]
pub fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append_data(&mut header, name, content).expect("a member");
    archive.into_inner().expect("an archive")
}

/// Packed by gzip.
#[must_use]
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(content).expect("memory");
    packed.finish().expect("a stream")
}

fn wrapped(text: &str, width: usize, between: &str) -> String {
    let lines = text.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned());
    lines.collect::<Vec<_>>().join(between)
}

fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn each(key: &str, escape: impl Fn(u8) -> String) -> String {
    key.bytes().map(escape).collect()
}

/// A form: its name, its file's ending, and the file's content. The key begins on line 3, except where `at_line` is none.
pub struct Form {
    /// What it is called.
    pub name: &'static str,
    /// The file's name behind its number.
    pub file: &'static str,
    /// The line that the key begins in.
    pub at_line: Option<u64>,
    /// What the file holds; the number varies it.
    pub content: fn(&str, &mut Keys) -> Vec<u8>,
}

/// Lines before what matters.
fn text(line: String) -> Vec<u8> {
    format!("# settings\n\n{line}\n# end\n").into_bytes()
}

/// Two parts of a key, cut anywhere.
fn cut<'k>(key: &'k str, keys: &mut Keys) -> (&'k str, &'k str) {
    key.split_at(1 + keys.below(key.len() - 1))
}

/// Every form of content.
pub const FORMS: &[Form] = &[
    Form {
        name: "source code",
        file: "app.py",
        at_line: Some(3),
        content: |key, _| text(format!("client = Client(api_key=\"{key}\")")),
    },
    Form { name: ".env", file: ".env", at_line: Some(3), content: |key, _| text(format!("OPENAI_API_KEY={key}")) },
    Form {
        name: "JSON",
        file: "config.json",
        at_line: Some(3),
        content: |key, _| format!("{{\n  \"a\": 1,\n  \"key\":\"{key}\"}}").into(),
    },
    Form { name: "YAML", file: "values.yaml", at_line: Some(3), content: |key, _| text(format!("apiKey: {key}")) },
    Form {
        name: "URL query",
        file: "curl.sh",
        at_line: Some(3),
        content: |key, _| text(format!("curl 'https://example.com/v1?key={key}&x=1'")),
    },
    Form {
        name: "URL user",
        file: "remote.txt",
        at_line: Some(3),
        content: |key, _| text(format!("https://user:{key}@example.com/")),
    },
    Form {
        name: "header",
        file: "http.log",
        at_line: Some(3),
        content: |key, _| text(format!("Authorization: Bearer {key}\r")),
    },
    Form {
        name: "glued to words",
        file: "glued.txt",
        at_line: Some(3),
        content: |key, _| text(format!("KEY{key}END")),
    },
    Form {
        name: "JSON escapes, one",
        file: "one.json",
        at_line: Some(3),
        content: |key, keys| {
            let at = keys.below(key.len());
            let escaped = format!("{}\\u{:04x}{}", &key[..at], key.as_bytes()[at], &key[at + 1..]);
            text(format!("{{\"key\": \"{escaped}\"}}"))
        },
    },
    Form {
        name: "JSON escapes, all",
        file: "all.json",
        at_line: Some(3),
        content: |key, _| text(format!("{{\"key\": \"{}\"}}", each(key, |byte| format!("\\u{byte:04X}")))),
    },
    Form {
        name: "JSON in JSON",
        file: "twice.json",
        at_line: Some(3),
        content: |key, _| {
            text(format!("\"{{\\\"url\\\": \\\"https:\\\\/\\\\/x\\\\/?k={}\\\"}}\"", key.replace('_', "\\\\u005f")))
        },
    },
    Form {
        name: "percent, underscores",
        file: "form.txt",
        at_line: Some(3),
        content: |key, _| text(format!("key={}&x=1", key.replace('_', "%5F"))),
    },
    Form {
        name: "percent, all",
        file: "all.url",
        at_line: Some(3),
        content: |key, _| text(format!("?key={}", each(key, |byte| format!("%{byte:02x}")))),
    },
    Form {
        name: "percent twice",
        file: "twice.url",
        at_line: Some(3),
        content: |key, _| text(format!("?next=%2F%3Fkey%3D{}", key.replace('_', "%255F"))),
    },
    Form {
        name: "HTML entities",
        file: "page.html",
        at_line: Some(3),
        content: |key, _| text(format!("<code>{}</code>", key.replace('_', "&#95;"))),
    },
    Form {
        name: "Markdown",
        file: "README.md",
        at_line: Some(3),
        content: |key, _| text(format!("The key is {}", key.replace('_', "\\_"))),
    },
    Form {
        name: "hexadecimal escapes",
        file: "escapes.c",
        at_line: Some(3),
        content: |key, _| text(format!("char key[] = \"{}\";", each(key, |byte| format!("\\x{byte:02x}")))),
    },
    Form {
        name: "line continuation",
        file: "run.sh",
        at_line: Some(3),
        content: |key, keys| {
            let (head, tail) = cut(key, keys);
            text(format!("export KEY={head}\\\n{tail}"))
        },
    },
    Form {
        name: "joined literals",
        file: "joined.js",
        at_line: Some(3),
        content: |key, keys| {
            let (head, tail) = cut(key, keys);
            text(format!("const key = \"{head}\" +\n    \"{tail}\";"))
        },
    },
    Form {
        name: "escaped line break",
        file: "broken.json",
        at_line: Some(3),
        content: |key, keys| {
            let (head, tail) = cut(key, keys);
            text(format!("{{\"text\": \"{head}\\n{tail}\"}}"))
        },
    },
    Form {
        name: "quoted mail",
        file: "mail.eml",
        at_line: Some(3),
        content: |key, keys| {
            let (head, tail) = cut(key, keys);
            text(format!("> my key is {head}=\n{tail}"))
        },
    },
    Form {
        name: "wrapped line",
        file: "wrapped.txt",
        at_line: Some(3),
        content: |key, keys| {
            let (head, tail) = cut(key, keys);
            text(format!("{head}\r\n    {tail}"))
        },
    },
    Form {
        name: "base64",
        file: "secret.yaml",
        at_line: Some(3),
        content: |key, keys| text(format!("  key: {}", base64(format!("{}{key}", &"user:x"[..4 + keys.below(3)])))),
    },
    Form {
        name: "base64, URL-safe",
        file: "state.txt",
        at_line: Some(3),
        content: |key, keys| {
            let encoded = base64(format!("{}?>{key}>?", "~".repeat(keys.below(3))));
            text(format!("state={}", encoded.replace('+', "-").replace('/', "_").trim_end_matches('=')))
        },
    },
    Form {
        name: "base64 in lines",
        file: "blob.pem",
        at_line: None,
        content: |key, keys| {
            let before = "-".repeat(60 + keys.below(200));
            let (width, between) = [(64, "\n"), (76, "\r\n"), (64, "\n    "), (76, "\\n")][keys.below(4)];
            text(format!(
                "-----BEGIN DATA-----\n    {}",
                wrapped(&base64(format!("{before}{key}{before}")), width, between)
            ))
        },
    },
    Form {
        name: "base64 in base64",
        file: "docker.yaml",
        at_line: Some(3),
        content: |key, keys| {
            let auth = base64(format!("{}:{key}", "u".repeat(1 + keys.below(3))));
            text(format!("  .dockerconfigjson: {}", base64(format!("{{\"auths\":{{\"r\":{{\"auth\":\"{auth}\"}}}}}}"))))
        },
    },
    Form {
        name: "hexadecimal",
        file: "dump.txt",
        at_line: Some(3),
        content: |key, _| text(format!("0x{}", each(key, |byte| format!("{byte:02x}")))),
    },
    Form {
        name: "UTF-16",
        file: "export.reg",
        at_line: Some(3),
        content: |key, _| utf16(&String::from_utf8_lossy(&text(format!("\"Key\"=\"{key}\"")))),
    },
    Form {
        name: "binary file",
        file: "core.bin",
        at_line: None,
        content: |key, keys| {
            [&(0..=255).cycle().take(900 + keys.below(9_000)).collect::<Vec<u8>>(), key.as_bytes(), &[0, 1, 2]].concat()
        },
    },
    Form {
        name: "notebook",
        file: "explore.ipynb",
        at_line: Some(3),
        content: |key, _| {
            format!("{{\"cells\": [{{\"cell_type\": \"code\",\n   \"source\": [\"import os\\n\",\n   \"key = \\\"{key}\\\"\\n\"]}}],\n \"nbformat\": 4}}\n").into()
        },
    },
    Form {
        name: "far into a large file",
        file: "large.log",
        at_line: None,
        content: |key, keys| {
            let line = "2030-01-31 12:00:00 a line like any other line in this log\n";
            [line.repeat(9_000 + keys.below(9)).as_bytes(), key.as_bytes()].concat()
        },
    },
    Form {
        name: "zip",
        file: "backup.zip",
        at_line: Some(3),
        content: |key, _| zip("conf/.env", &text(format!("KEY={key}"))),
    },
    Form {
        name: "tar",
        file: "backup.tar",
        at_line: Some(3),
        content: |key, _| tar("conf/.env", &text(format!("KEY={key}"))),
    },
    Form { name: "gzip", file: "app.log.gz", at_line: Some(3), content: |key, _| gzip(&text(format!("KEY={key}"))) },
    Form {
        name: "tgz",
        file: "image.tgz",
        at_line: Some(3),
        content: |key, _| gzip(&tar("etc/app.env", &text(format!("KEY={key}")))),
    },
    Form {
        name: "zip in tgz",
        file: "layers.tar.gz",
        at_line: Some(3),
        content: |key, _| gzip(&tar("lib/app.jar", &zip("app.properties", &text(format!("key={key}"))))),
    },
];
