//! The meter, by examples of each vendor's streams and against a model of streams made of known parts.

use proptest::{prelude::*, sample::select};

use super::*;
use crate::{peek::peek, splice::StreamUsage, sse::LINE_MAX};

/// What a client gets before the terminal event and with it, and what was observed.
fn meter<'a>(
    endpoint: Endpoint,
    shown: UsageShown,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (String, String, Observed) {
    let mut meter = StreamMeter::new(endpoint, shown);
    let (mut before, mut terminal) = (Vec::new(), Vec::new());
    let mut add = |forward: Forward| {
        // Once the terminal event is out, nothing can go before it.
        assert!(terminal.is_empty() || forward.before_terminal.is_empty());
        before.extend_from_slice(&forward.before_terminal);
        terminal.extend_from_slice(&forward.terminal);
    };
    for chunk in chunks {
        add(meter.push(Bytes::copy_from_slice(chunk)).unwrap());
    }
    add(meter.finish());
    (String::from_utf8(before).unwrap(), String::from_utf8(terminal).unwrap(), *meter.observed())
}

fn chat(shown: UsageShown, stream: &str) -> (String, String, Observed) {
    meter(Endpoint::ChatCompletions, shown, [stream.as_bytes()])
}

fn figures(observed: Observed) -> (Option<u64>, Option<u64>) {
    let usage = observed.usage.unwrap_or_default();
    (usage.input, usage.output)
}

const OPENAI: &str = concat!(
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1,\"total_tokens\":10}}\n\n",
    "data: [DONE]\n\n",
);
const UNASKED: &str = concat!(
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
);
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn a_client_that_did_not_ask_for_usage_sees_none_and_it_is_counted() {
    let (before, terminal, observed) = chat(UsageShown::Hidden, OPENAI);
    assert_eq!((&before[..], &terminal[..]), (UNASKED, DONE));
    assert_eq!((figures(observed), observed.usage_is_final), ((Some(9), Some(1)), true));
    assert_eq!((observed.deltas, observed.done, observed.upstream_error), (1, true, false));
}

#[test]
fn the_answers_id_and_a_usage_object_that_says_more_are_kept() {
    let mut meter = StreamMeter::new(Endpoint::ChatCompletions, UsageShown::Hidden);
    meter.push(Bytes::from_static(OPENAI.as_bytes())).unwrap();
    assert_eq!((meter.id(), meter.usage_text()), (&b"c"[..], &b""[..]));
    let more = OPENAI.replace("\"total_tokens\":10", "\"total_tokens\":10, \"x\": 1 ");
    // Running figures that say more, then final ones that do not: the last counts.
    for (stream, kept) in [
        (more.clone(), "{\"prompt_tokens\":9,\"completion_tokens\":1,\"total_tokens\":10, \"x\": 1 }"),
        (OPENAI.replacen("\"usage\":null", "\"usage\":{\"prompt_tokens\":9,\"x\":1}", 1), ""),
        (more.replace("\"x\": 1", &format!("\"x\":\"{}\"", "y".repeat(USAGE_TEXT_MAX))), ""),
    ] {
        for size in [1, 7, 10_000] {
            let mut meter = StreamMeter::new(Endpoint::ChatCompletions, UsageShown::Hidden);
            for chunk in stream.as_bytes().chunks(size) {
                meter.push(Bytes::copy_from_slice(chunk)).unwrap();
            }
            assert_eq!((meter.id(), std::str::from_utf8(meter.usage_text()).unwrap()), (&b"c"[..], kept), "{size}");
        }
    }
    let messages =
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":1}}}\n\n";
    let mut meter = StreamMeter::new(Endpoint::Messages, UsageShown::AsSent);
    meter.push(Bytes::from_static(messages.as_bytes())).unwrap();
    assert_eq!(meter.id(), b"msg_1");
}

#[test]
fn a_client_that_asked_for_usage_gets_the_upstreams_bytes_uncopied() {
    let chunk = Bytes::from_static(OPENAI.as_bytes());
    for shown in [UsageShown::AsSent, UsageShown::FinalOnly] {
        let forward = StreamMeter::new(Endpoint::ChatCompletions, shown).push(chunk.clone()).unwrap();
        assert_eq!(forward.before_terminal.as_ptr(), chunk.as_ptr());
        assert_eq!([&forward.before_terminal[..], &forward.terminal[..]].concat(), chunk);
        assert_eq!(&forward.terminal[..], DONE.as_bytes());
    }
}

#[test]
fn running_usage_that_only_we_asked_for_becomes_null() {
    let stream =
        OPENAI.replace("\"usage\":null", "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":0,\"total_tokens\":9}");
    let (before, terminal, observed) = chat(UsageShown::FinalOnly, &stream);
    assert_eq!(before + &terminal, OPENAI);
    assert_eq!(figures(observed), (Some(9), Some(1)));
    let (before, ..) = chat(UsageShown::Hidden, &stream);
    assert_eq!(before, UNASKED);
}

#[test]
fn a_stream_that_is_cut_has_its_running_figures() {
    let stream = concat!(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"c\"}}],\"usa",
    );
    let (before, terminal, observed) = chat(UsageShown::Hidden, stream);
    assert_eq!(figures(observed), (Some(9), Some(2)));
    assert_eq!((observed.usage_is_final, observed.done, observed.deltas), (false, false, 2));
    assert!(before.ends_with("\"usa") && terminal.is_empty());
}

#[test]
fn usage_in_the_last_chunk_with_choices_is_final_when_the_stream_is_done() {
    let stream = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
    assert!(!chat(UsageShown::AsSent, stream).2.usage_is_final);
    assert!(chat(UsageShown::AsSent, &format!("{stream}{DONE}")).2.usage_is_final);
}

#[test]
fn an_upstreams_error_in_the_stream_is_seen_forwarded_and_counts_nothing() {
    let stream = "data: {\"error\":{\"message\":\"boom\"},\"usage\":{\"prompt_tokens\":5}}\n\ndata: [DONE]\n\n";
    let (before, terminal, observed) = chat(UsageShown::AsSent, stream);
    assert_eq!(before + &terminal, stream);
    assert_eq!(
        (observed.upstream_error, observed.usage, observed.deltas, observed.usage_is_final),
        (true, None, 0, false)
    );
    let null = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"error\":null}\n\n";
    assert!(!chat(UsageShown::AsSent, null).2.upstream_error);
}

#[test]
fn usage_that_comes_twice_is_not_added() {
    let usage =
        |n: u32| format!("data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":{n},\"completion_tokens\":{n}}}}}\n\n");
    let (before, _, observed) = chat(UsageShown::Hidden, &(usage(5) + &usage(5) + &usage(7)));
    assert_eq!((&before[..], figures(observed)), ("", (Some(7), Some(7))));
}

#[test]
fn text_that_looks_like_usage_is_text() {
    let stream = concat!(
        "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":99}, [DONE]\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"usage\":{\"prompt_tokens\":99}}}],\"x\":{\"usage\":{\"prompt_tokens\":99}}}\n\n",
        "data: not JSON \"usage\":{\"prompt_tokens\":99}\n\n: \"usage\"\n\n",
    );
    let (before, terminal, observed) = chat(UsageShown::Hidden, stream);
    assert_eq!((&before[..], &terminal[..], observed.usage), (stream, "", None));
}

#[test]
fn all_usage_members_go_with_one_comma_each() {
    for (object, left) in [
        (r#"{"usage":null}"#, "{}"),
        (r#"{ "usage" : null , "a" : 1 }"#, r#"{ "a" : 1 }"#),
        (r#"{"a":1 , "usage":null , "b":2}"#, r#"{"a":1 , "b":2}"#),
        (r#"{"a":1, "usage":null }"#, r#"{"a":1 }"#),
        (r#"{"usage":null,"usage":{},"a":1}"#, r#"{"a":1}"#),
        (r#"{"a":1,"usage":null,"usage":{}}"#, r#"{"a":1}"#),
        (r#"{"usage":1,"a":1,"us\u0061ge":null,"b":1,"usage":2}"#, r#"{"a":1,"b":1}"#),
    ] {
        assert_eq!(chat(UsageShown::Hidden, &format!("data: {object}\n\n")).0, format!("data: {left}\n\n"));
    }
}

#[test]
fn an_event_of_several_data_lines_keeps_its_meaning() {
    let stream = "id: 7\ndata: {\"choices\":[{}],\ndata: \"usage\":\ndata: null}\n\n";
    assert_eq!(chat(UsageShown::AsSent, stream).0, stream);
    assert_eq!(chat(UsageShown::Hidden, stream).0, "id: 7\ndata: {\"choices\":[{}]}\n\n");
    let usage = "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":3}}\n\n";
    let (before, _, observed) = chat(UsageShown::Hidden, usage);
    assert_eq!((&before[..], figures(observed)), ("", (Some(3), None)));
}

#[test]
fn what_comes_behind_the_terminal_event_goes_with_it() {
    let stream =
        "data: {\"choices\":[]}\n\ndata: [DONE]\n\n: bye\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
    let (before, terminal, observed) = chat(UsageShown::Hidden, stream);
    assert_eq!((before + &terminal, observed.usage), (stream.to_owned(), None));
}

#[test]
fn a_terminal_event_without_its_blank_line_is_one_at_the_end() {
    for end in ["data: [DONE]", "data: [DONE]\n", "data: [DONE]\r", "data:[DONE]\r\n"] {
        let (before, terminal, observed) = chat(UsageShown::Hidden, end);
        assert_eq!((&before[..], &terminal[..], observed.done), ("", end, true));
    }
}

#[test]
fn usage_without_its_blank_line_still_counts() {
    let stream = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n";
    let (before, _, observed) = chat(UsageShown::Hidden, stream);
    assert_eq!((&before[..], figures(observed), observed.done), ("", (Some(3), Some(4)), false));
}

#[test]
fn every_kind_of_content_counts_once_for_each_choice() {
    let deltas = |choices: &str| chat(UsageShown::AsSent, &format!("data: {{\"choices\":{choices}}}\n\n")).2.deltas;
    for content in [
        r#""content":"a""#,
        r#""reasoning_content":"a","content":null"#,
        r#""tool_calls":[{}]"#,
        r#""content":"a","refusal":"b""#,
    ] {
        assert_eq!(deltas(&format!(r#"[{{"index":0,"delta":{{{content}}}}}]"#)), 1, "{content}");
    }
    assert_eq!(deltas(r#"[{"text":"a","index":0},{"text":"","index":1},{"text":"b"}]"#), 2);
    for none in [
        "[]",
        "null",
        "[1]",
        r#"[{"delta":null}]"#,
        r#"[{"delta":{"role":"assistant","content":""}}]"#,
        r#"[{"delta":{"tool_calls":[]},"text":null}]"#,
    ] {
        assert_eq!(deltas(none), 0, "{none}");
    }
}

#[test]
fn chunks_that_open_alike_are_each_read() {
    let stream = concat!(
        "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n",
        "data: {\"id\":\"c\",\"choices\": [{\"delta\":{\"content\":\"b\"}}],\"usage\":null}\n\n",
        "data: {\"id\":\"c\",\"choices\":null,\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"id\":\"c\",\"choices\":\n\n",
        "data: {\"id\":\"c\",\"choices\":[],\"error\":{}}\n\n",
        "data: {\"usage\":null,\"choices\":[{\"text\":\"c\"}]}\n\n",
    );
    let (before, _, observed) = chat(UsageShown::Hidden, stream);
    let shown = stream.replace(",\"usage\":null", "").replace("\"usage\":null,", "");
    assert_eq!(before, shown.replace(",\"usage\":{\"prompt_tokens\":1}", ""));
    assert_eq!((observed.deltas, figures(observed).0, observed.upstream_error), (3, Some(1), true));
}

#[test]
fn anthropics_stream_is_counted_from_its_start_and_its_deltas() {
    let stream = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":90,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n",
    );
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let (before, terminal, observed) =
        meter(Endpoint::Messages, UsageShown::AsSent, [stream.as_bytes(), stop.as_bytes()]);
    assert_eq!((&before[..], &terminal[..]), (stream, stop));
    let usage = observed.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.cached_input), (Some(100), Some(15), Some(90)));
    assert_eq!((observed.deltas, observed.done, observed.usage_is_final), (1, true, true));
    let error =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    assert!(meter(Endpoint::Messages, UsageShown::AsSent, [error.as_bytes()]).2.upstream_error);
}

#[test]
fn a_responses_stream_has_its_usage_in_the_terminal_event() {
    let delta =
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n";
    for end in ["completed", "incomplete", "failed"] {
        let end = format!(
            "event: response.{end}\ndata: {{\"type\":\"response.{end}\",\"response\":{{\"error\":null,\"usage\":{{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7}}}}}}\n\n"
        );
        let (before, terminal, observed) =
            meter(Endpoint::Responses, UsageShown::AsSent, [delta.as_bytes(), end.as_bytes()]);
        assert_eq!((&before[..], &terminal), (delta, &end));
        assert_eq!((figures(observed), observed.deltas, observed.usage_is_final), ((Some(3), Some(4)), 1, true));
    }
}

#[test]
fn a_line_without_end_breaks_the_stream_after_what_came_before() {
    let mut meter = StreamMeter::new(Endpoint::ChatCompletions, UsageShown::Hidden);
    let stream = [b"data: {\"usage\":null}\n\ndata: ", &b"x".repeat(LINE_MAX)[..]].concat();
    assert_eq!(&meter.push(stream.into()).unwrap_err().before[..], b"data: {}\n\n");
    assert!(meter.push(Bytes::from_static(b"\n\n")).unwrap_err().before.is_empty());
    assert_eq!(meter.finish(), Forward::default());
}

#[test]
fn what_the_client_sees_follows_from_what_it_asked_for() {
    let shown = |options: &str, asked| {
        UsageShown::of(&peek(format!("{{\"model\":\"a\",\"stream\":true{options}}}").into()).unwrap(), asked)
    };
    let usage = ",\"stream_options\":{\"include_usage\":true}";
    let running = ",\"stream_options\":{\"include_usage\":true,\"continuous_usage_stats\":true}";
    assert_eq!(shown("", StreamUsage::AsSent), UsageShown::AsSent);
    assert_eq!(shown("", StreamUsage::Final), UsageShown::Hidden);
    assert_eq!(shown("", StreamUsage::Continuous), UsageShown::Hidden);
    assert_eq!(shown(usage, StreamUsage::Final), UsageShown::AsSent);
    assert_eq!(shown(usage, StreamUsage::Continuous), UsageShown::FinalOnly);
    assert_eq!(shown(running, StreamUsage::Continuous), UsageShown::AsSent);
}

/// One event of a made stream: its members but for usage, and where usage is put in among them.
#[derive(Debug, Clone)]
struct Made {
    members: Vec<String>,
    deltas: u64,
    usage_at: prop::sample::Index,
    output: u64,
}

#[derive(Debug, Clone)]
struct Stream {
    events: Vec<Made>,
    comma: &'static str,
    prefix: &'static str,
    line_end: &'static str,
    done: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Usage {
    Absent,
    Null,
    Running,
}

impl Stream {
    fn event(&self, data: &str) -> String {
        format!("{}{data}{1}{1}", self.prefix, self.line_end)
    }
    /// All but the terminal event: with usage in each chunk, and with the chunk for usage or not.
    fn text(&self, usage: Usage, with_usage_chunk: bool) -> String {
        let mut text = String::new();
        for made in &self.events {
            let mut members = made.members.clone();
            let value = match usage {
                Usage::Absent => None,
                Usage::Null => Some("null".to_owned()),
                Usage::Running => Some(figures_text(made.output)),
            };
            if let Some(value) = value {
                members.insert(made.usage_at.index(members.len() + 1), format!("\"usage\": {value}"));
            }
            text += &self.event(&format!("{{{}}}", members.join(self.comma)));
        }
        if with_usage_chunk {
            let members = ["\"choices\":[]".to_owned(), format!("\"usage\": {}", figures_text(1_000))];
            text += &self.event(&format!("{{{}}}", members.join(self.comma)));
        }
        text
    }
    fn terminal(&self) -> String {
        if self.done { self.event("[DONE]") } else { String::new() }
    }
}

fn figures_text(output: u64) -> String {
    format!("{{\"prompt_tokens\": 7, \"completion_tokens\":{output},\"total_tokens\":{}}}", output + 7)
}

fn made() -> impl Strategy<Value = Made> {
    const CHOICES: &[(&str, u64)] = &[
        (r#""choices":[{"index":0,"delta":{"role":"assistant","content":""}}]"#, 0),
        (r#""choices": [{"index":0,"delta":{"content":"\"usage\":{\"prompt_tokens\":1}"},"finish_reason":null}]"#, 1),
        (r#""choices":[{"text":"é\\","usage":{"prompt_tokens":5}},{"text":"[DONE]"}]"#, 2),
        (r#""choices":[]"#, 0),
    ];
    const OTHERS: &[&str] = &[
        r#""id":"c""#,
        r#""usages": null"#,
        r#""x" : {"usage" :{"prompt_tokens":4},"error":1}"#,
        r#""error":null"#,
        r#""object":"usage""#,
    ];
    (
        select(CHOICES),
        proptest::collection::vec(select(OTHERS), 0..4),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0..1_000u64,
    )
        .prop_map(|((choices, deltas), others, choices_at, usage_at, output)| {
            let mut members: Vec<_> = others.into_iter().map(String::from).collect();
            members.insert(choices_at.index(members.len() + 1), choices.to_owned());
            Made { members, deltas, usage_at, output }
        })
}

fn stream() -> impl Strategy<Value = Stream> {
    (
        proptest::collection::vec(made(), 0..6),
        select(&[",", ", ", " ,\t"][..]),
        select(&["data: ", "data:", ": ping\ndata: ", "event: x\r\nid: 1\ndata: "][..]),
        select(&["\n", "\r\n", "\r"][..]),
        any::<bool>(),
    )
        .prop_map(|(events, comma, prefix, line_end, done)| Stream { events, comma, prefix, line_end, done })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn the_client_gets_what_it_asked_for_at_any_chunking(stream in stream(), cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        // Running figures in a chunk without choices would make it the chunk for usage.
        let no_choices = |made: &Made| made.members.iter().any(|member| member == "\"choices\":[]");
        let running = if stream.events.iter().any(no_choices) { Usage::Null } else { Usage::Running };
        for (sent, shown, seen, sees_chunk) in [
            (Usage::Null, UsageShown::Hidden, Usage::Absent, false),
            (running, UsageShown::Hidden, Usage::Absent, false),
            (running, UsageShown::FinalOnly, Usage::Null, true),
            (Usage::Null, UsageShown::FinalOnly, Usage::Null, true),
            (running, UsageShown::AsSent, running, true),
            (Usage::Absent, UsageShown::Hidden, Usage::Absent, false),
        ] {
            let upstream = stream.text(sent, true) + &stream.terminal();
            let chunks = crate::sse::tests::cut(upstream.as_bytes(), cuts.clone());
            let (before, terminal, observed) = meter(Endpoint::ChatCompletions, shown, chunks);
            prop_assert_eq!(before, stream.text(seen, sees_chunk));
            prop_assert_eq!(terminal, stream.terminal());
            prop_assert_eq!((figures(observed), observed.usage_is_final, observed.done), ((Some(7), Some(1_000)), true, stream.done));
            prop_assert_eq!(observed.deltas, stream.events.iter().map(|made| made.deltas).sum::<u64>());
            prop_assert!(!observed.upstream_error);
        }
    }

    #[test]
    fn a_cut_stream_has_the_last_running_figures(stream in stream()) {
        let no_choices = |made: &Made| made.members.iter().any(|member| member == "\"choices\":[]");
        prop_assume!(!stream.events.iter().any(no_choices));
        let (.., observed) = chat(UsageShown::Hidden, &stream.text(Usage::Running, false));
        let last = stream.events.last().map(|made| made.output);
        prop_assert_eq!((figures(observed).1, observed.usage_is_final), (last, false));
    }

    #[test]
    fn any_bytes_pass_unchanged_and_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for endpoint in [Endpoint::ChatCompletions, Endpoint::Responses, Endpoint::Messages] {
            let mut meter = StreamMeter::new(endpoint, UsageShown::AsSent);
            let forward = meter.push(Bytes::copy_from_slice(&bytes)).unwrap();
            let rest = meter.finish();
            let out = [forward.before_terminal, forward.terminal, rest.before_terminal, rest.terminal].concat();
            prop_assert_eq!(&out, &bytes);
        }
    }
}
