//! A value that one form carries, so that sending it again makes nothing twice: a creation keeps it with what it made.

use super::Form;
use crate::services::Services;

/// What marks the values of our own forms among those that programs send as `Idempotency-Key`.
const OF_A_FORM: &str = "form-";
/// The longest value of a form: its mark and 32 digits, with room to spare.
const LONGEST: usize = 64;

/// A value that no other form has; for a field of the name `once`.
pub(super) fn once(services: &Services) -> String {
    let mut bytes = [0; 16];
    services.world.fill(&mut bytes);
    format!("{OF_A_FORM}{:032x}", u128::from_be_bytes(bytes))
}

/// The value that a form was sent with; a new one where that is none of ours.
pub(super) fn sent(form: &Form, services: &Services) -> String {
    let sent = form.some("once").filter(|sent| sent.starts_with(OF_A_FORM) && sent.len() <= LONGEST);
    sent.map_or_else(|| once(services), str::to_owned)
}
