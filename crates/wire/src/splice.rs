//! The body that goes upstream: the client's bytes, with the model renamed and usage reporting
//! switched on where that is needed, and nothing else touched.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::peek::{Peeked, StreamOptions, Switch};

/// What usage reporting to switch on in a streamed request. Does nothing to one that is not streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamUsage {
    /// Leave it as the client sent it.
    #[default]
    AsSent,
    /// `stream_options.include_usage`: the final figures at the end.
    Final,
    /// Also `stream_options.continuous_usage_stats`: running figures in every chunk (vLLM, SGLang).
    Continuous,
}

/// What to change in a request body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes<'a> {
    /// The name under which the upstream knows the model; `None` leaves the client's.
    pub model: Option<&'a str>,
    /// Usage reporting in streams.
    pub stream_usage: StreamUsage,
}

/// The body for the upstream. Where nothing changes it is the client's, not copied.
#[must_use]
pub fn splice(peeked: &Peeked, changes: &Changes<'_>) -> Bytes {
    let mut edits = Edits::default();
    if let Some(name) = changes.model.filter(|name| *name != peeked.model()) {
        edits.replace(peeked.model_at.clone(), quoted(name));
    }
    if peeked.stream() && changes.stream_usage != StreamUsage::AsSent {
        switch_usage_on(&mut edits, peeked, changes.stream_usage == StreamUsage::Continuous);
    }
    edits.apply(&peeked.body)
}

const INCLUDE_USAGE: &str = "\"include_usage\":true";
const CONTINUOUS: &str = "\"continuous_usage_stats\":true";

fn switch_usage_on(edits: &mut Edits, peeked: &Peeked, continuous: bool) {
    let also = if continuous { format!(",{CONTINUOUS}") } else { String::new() };
    match &peeked.stream_options {
        StreamOptions::Absent => {
            edits.insert(peeked.end_of_members, format!(",\"stream_options\":{{{INCLUDE_USAGE}{also}}}"));
        }
        StreamOptions::Null(at) => edits.replace(at.clone(), format!("{{{INCLUDE_USAGE}{also}}}")),
        StreamOptions::Object { end_of_members, is_empty, include_usage, continuous_usage_stats } => {
            let mut missing = Vec::with_capacity(2);
            switch_on(edits, include_usage.as_ref(), INCLUDE_USAGE, &mut missing);
            if continuous {
                switch_on(edits, continuous_usage_stats.as_ref(), CONTINUOUS, &mut missing);
            }
            if !missing.is_empty() {
                let comma = if *is_empty { "" } else { "," };
                edits.insert(*end_of_members, format!("{comma}{}", missing.join(",")));
            }
        }
    }
}

fn switch_on(edits: &mut Edits, switch: Option<&Switch>, member: &'static str, missing: &mut Vec<&'static str>) {
    match switch {
        None => missing.push(member),
        Some(Switch { on: true, .. }) => {}
        Some(Switch { at, on: false }) => edits.replace(at.clone(), "true".into()),
    }
}

/// `name` as a JSON string.
fn quoted(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if is_plain { ["\"", name, "\""].concat() } else { serde_json::Value::from(name).to_string() }
}

/// Replacements at places that do not overlap, since each is a different value or the end of a list.
#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn replace(&mut self, at: Range<usize>, with: String) {
        self.0.push((at, with));
    }
    fn insert(&mut self, at: usize, with: String) {
        self.replace(at..at, with);
    }
    fn apply(mut self, body: &Bytes) -> Bytes {
        if self.0.is_empty() {
            return body.clone();
        }
        // An insertion behind a value that is replaced starts where that one ends, so the end decides too.
        self.0.sort_by_key(|(at, _)| (at.start, at.end));
        let added: usize = self.0.iter().map(|(_, with)| with.len()).sum();
        let mut out = BytesMut::with_capacity(body.len() + added);
        let mut done = 0;
        for (at, with) in &self.0 {
            out.put_slice(body.get(done..at.start).unwrap_or_default());
            out.put_slice(with.as_bytes());
            done = at.end;
        }
        out.put_slice(body.get(done..).unwrap_or_default());
        out.freeze()
    }
}

#[cfg(test)]
mod tests;
