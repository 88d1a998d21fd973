//! Any presented credential: parsing never panics, and what it takes has the published form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::secret::{CHECKSUM_LENGTH, LONGEST, Presented, checksum_of};

fuzz_target!(|text: &[u8]| {
    // Of a random text the checksum never fits; so it is also tried with the one that does.
    let head = &text[..text.len().min(LONGEST)];
    let with_checksum = [head, &checksum_of(head)].concat();
    for text in [text, &with_checksum[..]] {
        let Ok(key) = Presented::parse(text) else { continue };
        let text = std::str::from_utf8(text).expect("a key is ASCII");
        assert!(text.len() <= LONGEST);
        let mut parts = text.split('_');
        assert_eq!(parts.next(), Some(key.prefix().as_str()));
        assert_eq!(parts.next(), Some(key.id().as_str()));
        let (head, checksum) = text.split_at(text.len() - CHECKSUM_LENGTH);
        assert_eq!(checksum.as_bytes(), checksum_of(head.as_bytes()));
        assert!(!format!("{key:?}").contains(&head[head.len() - 20..]));
    }
});
