//! Any text: the finder ends, what it finds has form and checksum and lies within the text, and a key that is planted in it is
//! found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::secret::{Prefix, Presented, checksum_of};
use tollgate_scan::Finder;

fuzz_target!(|text: &[u8]| {
    let finder = Finder::new(&[Prefix::default()]);
    for find in finder.find(text) {
        Presented::parse(find.key.expose().as_bytes()).expect("form and checksum");
        assert!(find.start < find.end && find.end <= text.len());
    }
    let head = "tg_abcdefghijkl_0123456789012345678901234567890123456789012";
    let key = [head.as_bytes(), &checksum_of(head.as_bytes())].concat();
    let (before, behind) = text.split_at(text.len() / 2);
    let planted = [before, &key, behind].concat();
    let finds = finder.find(&planted);
    assert!(finds.iter().any(|find| find.key.expose().as_bytes() == key), "{planted:?}");
});
