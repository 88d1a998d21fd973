//! What the demo chat model says: the same words for the same conversation, about what was asked.
//!
//! It does not think. It does a few things that people try first (greet, repeat, count, add) and else
//! writes sentences around the prompt's own words, as many as were asked for.

use std::fmt::Write as _;

/// The most sentences of one answer: about 8,000 tokens.
const MOST_SENTENCES: usize = 400;
/// The most numbers that it counts.
const MOST_COUNTED: i64 = 1_000;
/// The longest text that it repeats, in bytes.
const MOST_REPEATED: usize = 4_000;
/// Words of a sentence, on average: how a wanted number of words becomes one of sentences.
const WORDS_PER_SENTENCE: usize = 14;

/// The answer to the last message of a conversation whose whole text has this hash.
pub fn answer(prompt: &str, seed: u64) -> String {
    let prompt = prompt.trim();
    repeated(prompt)
        .or_else(|| counted(prompt))
        .or_else(|| calculated(prompt))
        .or_else(|| introduced(prompt))
        .unwrap_or_else(|| written(prompt, seed))
}

/// FNV-1a of these texts: where the answer's choices come from.
pub fn seed<'a>(texts: impl Iterator<Item = &'a str>) -> u64 {
    let bytes = texts.flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// "Say hi", "Reply with: OK", "Repeat after me: …".
fn repeated(prompt: &str) -> Option<String> {
    const ORDERS: [&str; 7] = ["repeat after me", "repeat", "say", "echo", "reply with", "respond with", "answer with"];
    const FILLERS: [&str; 6] = ["exactly", "only", "just", "the words", "the word", "this"];
    let mut rest = ORDERS.iter().find_map(|order| strip_words(prompt, order))?;
    while let Some(shorter) = FILLERS.iter().find_map(|filler| strip_words(rest, filler)) {
        rest = shorter;
    }
    let rest = rest.trim();
    let unquoted = ['"', '\'', '`'].iter().find_map(|quote| rest.strip_prefix(*quote)?.strip_suffix(*quote));
    let text = unquoted.unwrap_or(rest);
    (!text.is_empty() && text.len() <= MOST_REPEATED).then(|| text.to_owned())
}

/// The text behind these words and a blank or colon, without regard to case.
fn strip_words<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let head = text.get(..words.len())?;
    let rest = text.get(words.len()..)?;
    let ends = rest.starts_with([':', ' ', '\n', ',']);
    (head.eq_ignore_ascii_case(words) && ends).then(|| rest.trim_start_matches([':', ' ', '\n', ',']))
}

/// "Count to 20", "count from 3 to 9".
fn counted(prompt: &str) -> Option<String> {
    let lower = prompt.to_lowercase();
    let rest = lower.split_once("count ")?.1;
    let numbers: Vec<i64> = integers(rest).take(2).collect();
    let (first, last) = match (rest.starts_with("from"), numbers.as_slice()) {
        (true, [first, last]) => (*first, *last),
        (false, [last, ..]) => (1, *last),
        _ => return None,
    };
    let last = last.min(first.saturating_add(MOST_COUNTED - 1));
    let numbers: Vec<String> = (first..=last).map(|number| number.to_string()).collect();
    (!numbers.is_empty()).then(|| numbers.join(", "))
}

fn integers(text: &str) -> impl Iterator<Item = i64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok())
}

/// "What is 12 * 7?"
fn calculated(prompt: &str) -> Option<String> {
    let at = prompt.char_indices().find(|(at, c)| {
        let before = prompt.get(..*at).unwrap_or_default().trim_end();
        let behind = prompt.get(at + c.len_utf8()..).unwrap_or_default().trim_start();
        matches!(c, '+' | '-' | '*' | '×' | 'x' | '/')
            && before.ends_with(|c: char| c.is_ascii_digit())
            && behind.starts_with(|c: char| c.is_ascii_digit())
    })?;
    let (left, right) = (prompt.get(..at.0)?.trim_end(), prompt.get(at.0 + at.1.len_utf8()..)?.trim_start());
    let left: i64 = left.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let right: i64 = right.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some(match at.1 {
        '+' => format!("{left} + {right} = {}.", left.checked_add(right)?),
        '-' => format!("{left} - {right} = {}.", left.checked_sub(right)?),
        '/' if left.checked_rem(right)? == 0 => format!("{left} / {right} = {}.", left.checked_div(right)?),
        '/' => {
            let (whole, rest) = (left.checked_div(right)?, left.checked_rem(right)?);
            format!("{left} / {right} = {whole}, remainder {rest}.")
        }
        _ => format!("{left} × {right} = {}.", left.checked_mul(right)?),
    })
}

/// "Hello", "Who are you?"
fn introduced(prompt: &str) -> Option<String> {
    const GREETINGS: [&str; 7] = ["hi", "hello", "hey", "good morning", "good evening", "howdy", "greetings"];
    const WHO: [&str; 5] = ["who are you", "what are you", "what model are you", "which model are you", "your name"];
    let lower = prompt.to_lowercase();
    let bare = lower.trim_end_matches(['!', '.', '?', ',', ' ']);
    if GREETINGS.contains(&bare) || (bare.len() < 24 && GREETINGS.iter().any(|word| strip_words(bare, word).is_some()))
    {
        return Some(
            "Hello! I am Tollgate's demo model. Ask me something, and watch the tokens being counted.".to_owned(),
        );
    }
    WHO.iter().any(|question| bare.contains(question)).then(|| {
        "I am demo-chat, a small stand-in for a language model that is built into Tollgate. I run without a GPU, I give \
         the same answer to the same question, and every token of it is counted like those of a real model."
            .to_owned()
    })
}

const OPENINGS: [&str; 6] = [
    "You asked about {a}. Here is what a model would weigh first.",
    "Good question. When people ask about {a}, they mostly want to know how it relates to {b}.",
    "Let us look at {a} from the side of {b}.",
    "The short answer about {a}: it depends on {b}, and less on the rest than one thinks.",
    "Here is one way to think about {a}.",
    "To understand {a}, begin with {b} and ask what would change without it.",
];
const SENTENCES: [&str; 18] = [
    "The first thing to notice about {a} is how often {b} decides the outcome.",
    "Most of the work lies in {b}, even where {a} gets the attention.",
    "A useful test is to change {a} a little and see whether {c} still holds.",
    "Where {a} and {b} disagree, the simpler of the two explanations is usually right.",
    "It helps to write down what {c} costs before deciding about {a}.",
    "Two people can look at {b} and reach opposite conclusions about {a}, each with good reason.",
    "In practice {a} is rarely the limit; {c} is.",
    "History has a few examples in which {b} came first and {a} only followed.",
    "If you can measure {c}, measure it twice, since the first figure is the one that gets quoted.",
    "None of this makes {a} unimportant, but it puts {b} into proportion.",
    "A small experiment with {a} teaches more than a long discussion of {c}.",
    "The exceptions are interesting: they show where {b} stops being a good guide.",
    "Nobody plans for {c}, and so it is worth planning for.",
    "When in doubt, keep {a} as it is and improve {b} step by step.",
    "That is also why advice about {a} ages faster than advice about {c}.",
    "What looks like a problem of {a} often turns out to be a question of {b}.",
    "Seen over a longer time, {c} and {a} tend to move together.",
    "The details of {b} matter less than being consistent about them.",
];
const CLOSINGS: [&str; 4] = [
    "I am only a demo model, so take the form of this answer seriously and its content lightly.",
    "A real model would now go into detail; I stop here, and every token so far has been counted.",
    "That is as far as a demo model can take {a}; put a real one behind the same name and ask again.",
    "Ask me the same thing again and you will get the same words: that is what makes me easy to test with.",
];

/// Sentences around the prompt's words.
fn written(prompt: &str, seed: u64) -> String {
    let mut state = seed;
    let subjects = subjects(prompt);
    let wanted = wanted_sentences(prompt);
    let mut text = fill(pick(&OPENINGS, &mut state), &subjects, &mut state);
    let mut last = usize::MAX;
    for number in 1..wanted.saturating_sub(1) {
        let mut choice = index(SENTENCES.len(), &mut state);
        if choice == last {
            choice = (choice + 1) % SENTENCES.len();
        }
        last = choice;
        text.push_str(if number % 5 == 0 { "\n\n" } else { " " });
        text.push_str(&fill(SENTENCES.get(choice).copied().unwrap_or_default(), &subjects, &mut state));
    }
    if wanted > 1 {
        let _ = write!(text, " {}", fill(pick(&CLOSINGS, &mut state), &subjects, &mut state));
    }
    text
}

fn wanted_sentences(prompt: &str) -> usize {
    let lower = prompt.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let numbered = words.windows(2).find_map(|pair| match pair {
        [number, unit] if unit.starts_with("word") => Some(number.parse::<usize>().ok()? / WORDS_PER_SENTENCE + 1),
        ["one", "sentence"] => Some(1),
        [number, unit] if unit.starts_with("sentence") => number.parse().ok(),
        _ => None,
    });
    let has = |words_for: &[&str]| words.iter().any(|word| words_for.contains(word));
    let usual = if has(&["long", "story", "essay", "detailed", "detail", "novel"]) {
        30
    } else if has(&["short", "brief", "briefly", "shortly"]) {
        2
    } else {
        5
    };
    numbered.unwrap_or(usual).clamp(1, MOST_SENTENCES)
}

/// The prompt's longer words in their order, without those that every prompt has.
fn subjects(prompt: &str) -> Vec<String> {
    const COMMON: [&str; 44] = [
        "about",
        "after",
        "again",
        "also",
        "because",
        "before",
        "being",
        "between",
        "briefly",
        "could",
        "describe",
        "does",
        "explain",
        "from",
        "give",
        "have",
        "into",
        "just",
        "like",
        "long",
        "make",
        "more",
        "much",
        "please",
        "sentence",
        "sentences",
        "short",
        "should",
        "some",
        "story",
        "tell",
        "than",
        "that",
        "their",
        "them",
        "there",
        "they",
        "this",
        "what",
        "when",
        "where",
        "which",
        "with",
        "would",
    ];
    let mut subjects: Vec<String> = Vec::new();
    for word in prompt.split(|c: char| !(c.is_alphanumeric() || c == '-')) {
        let length = word.chars().count();
        let lower = word.to_lowercase();
        let fits = (4..=24).contains(&length) && !COMMON.contains(&lower.as_str()) && !word.starts_with('-');
        if fits && !subjects.iter().any(|subject| subject.to_lowercase() == lower) {
            // A capital inside a sentence is a name's; the first word's is the sentence's.
            subjects.push(if prompt.starts_with(word) { lower } else { word.to_owned() });
        }
        if subjects.len() == 6 {
            break;
        }
    }
    if subjects.is_empty() {
        subjects.push("your question".to_owned());
    }
    for more in ["the context", "what you want to achieve"] {
        if subjects.len() < 3 {
            subjects.push(more.to_owned());
        }
    }
    subjects
}

/// Puts the first subject for `{a}` and two others for `{b}` and `{c}`.
fn fill(sentence: &str, subjects: &[String], state: &mut u64) -> String {
    let others = subjects.get(1..).unwrap_or_default();
    let first = subjects.first().map_or("this", String::as_str);
    let start = index(others.len().max(1), state);
    let other =
        |offset: usize| others.get((start + offset) % others.len().max(1)).map_or("the context", String::as_str);
    sentence.replace("{a}", first).replace("{b}", other(0)).replace("{c}", other(1))
}

fn pick<'a>(choices: &[&'a str], state: &mut u64) -> &'a str {
    choices.get(index(choices.len(), state)).copied().unwrap_or_default()
}

fn index(length: usize, state: &mut u64) -> usize {
    let length = u64::try_from(length).unwrap_or(1).max(1);
    usize::try_from(next(state) % length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(prompt: &str) -> String {
        answer(prompt, seed([prompt].into_iter()))
    }

    #[test]
    fn it_does_the_few_things_that_people_try_first() {
        assert_eq!(say("Say hi"), "hi");
        assert_eq!(say("Reply with exactly: \"OK then\""), "OK then");
        assert_eq!(say("repeat after me: tokens, tokens"), "tokens, tokens");
        assert_eq!(say("Please count to 5"), "1, 2, 3, 4, 5");
        assert_eq!(say("Count from 3 to 5."), "3, 4, 5");
        assert_eq!(say("What is 12 * 7?"), "12 × 7 = 84.");
        assert_eq!(say("7/2"), "7 / 2 = 3, remainder 1.");
        assert!(say("Hello!").starts_with("Hello! I am Tollgate's demo model."));
        assert!(say("Who are you?").contains("demo-chat"));
    }

    #[test]
    fn it_answers_about_what_was_asked_and_always_the_same() {
        let prompt = "Explain why lighthouses use Fresnel lenses";
        let text = say(prompt);
        assert!(text.contains("lighthouses"), "{text}");
        assert_eq!(text, say(prompt));
        assert_ne!(text, say("Explain why lighthouses use Fresnel lenses?"));
        assert!(!text.contains('{'), "{text}");
    }

    #[test]
    fn its_length_follows_what_was_asked_for() {
        let words = |prompt: &str| say(prompt).split_whitespace().count();
        assert!((300..700).contains(&words("Write 500 words about the sea")));
        assert!(words("Tell me about the sea in one sentence") < 40);
        assert!(words("A long story about the sea") > 300);
        assert!(words("Write 99999999 words about the sea") < 10_000);
    }

    #[test]
    fn it_has_an_answer_to_any_text() {
        let huge = "9".repeat(50);
        for prompt in [
            "",
            " ",
            "?",
            "1/0",
            "9223372036854775807 + 1",
            "say",
            "count to",
            "count to -5",
            "日本語で",
            "{a}{b}",
            &huge,
        ] {
            assert!(!say(prompt).is_empty(), "{prompt}");
        }
    }
}
