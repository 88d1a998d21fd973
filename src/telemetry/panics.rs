//! What is said when a thread panics: one log line of the same form as the others, through [`Redacted`]. It does not
//! go through the subscriber, which may be where the panic came from, and no level switches it off.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::Write as _,
    panic::PanicHookInfo,
};

use serde_json::json;
use tollgate_core::World;

use super::Redacted;

/// The form of log lines.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// From now on, of every thread.
pub fn say_through(redacted: Redacted, world: World, form: Form) {
    std::panic::set_hook(Box::new(move |panic| {
        let line = said(panic, &world, form);
        // Nobody is left to tell that standard error is closed.
        let _ = redacted.line(std::io::stderr()).write_all(line.as_bytes());
    }));
}

fn said(panic: &PanicHookInfo<'_>, world: &World, form: Form) -> String {
    let message = panic.payload_as_str().unwrap_or("(not a text)");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    // Only with RUST_BACKTRACE.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let time = format!("{:.3}", world.now().to_jiff());
    match form {
        Form::Human => {
            let backtrace = backtrace.map(|text| format!("\n{text}")).unwrap_or_default();
            format!("{time} ERROR thread '{thread}' panicked at {location}: {message}{backtrace}\n")
        }
        Form::Json => {
            let line = json!({
                "timestamp": time,
                "level": "ERROR",
                "message": "a thread panicked",
                "panic.message": message,
                "panic.location": location,
                "panic.backtrace": backtrace,
                "thread": thread,
                "target": "tollgate::panic",
            });
            format!("{line}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world;

    #[test]
    fn a_panic_is_one_line_in_either_form() {
        let (sender, lines) = std::sync::mpsc::channel();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let world = world::real();
            sender.send((said(panic, &world, Form::Human), said(panic, &world, Form::Json))).unwrap();
        }));
        let ended = std::thread::Builder::new().name("a-name".into()).spawn(|| panic!("two\nlines")).unwrap().join();
        std::panic::set_hook(before);
        assert!(ended.is_err());
        // Other tests of this process may panic meanwhile.
        let (human, json) = lines.iter().find(|(human, _)| human.contains("'a-name'")).unwrap();
        assert!(human.contains("thread 'a-name' panicked at src/telemetry/panics.rs:"), "{human}");
        let json: serde_json::Value = serde_json::from_str(json.trim_end()).unwrap();
        assert_eq!(json["panic.message"], "two\nlines");
        assert_eq!(json["level"], "ERROR");
    }
}
