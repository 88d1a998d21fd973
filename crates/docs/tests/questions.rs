//! Every question of `docs/questions.toml` is asked, and what comes right is counted and printed. How high the bar of
//! confidence lies was chosen by the table that `the_bar` prints.

#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde::Deserialize;
    use tollgate_docs::{Answer, Docs, Lang, Question};

    use super::support::docs;

    #[derive(Deserialize)]
    struct Set {
        question: Vec<Asked>,
        unanswered: Vec<Asked>,
    }

    #[derive(Deserialize)]
    struct Asked {
        ask: String,
        #[serde(default)]
        page: String,
        #[serde(default)]
        also: Vec<String>,
        #[serde(default)]
        sentence: String,
        lang: Option<String>,
    }

    impl Asked {
        fn lang(&self) -> Lang {
            self.lang.as_deref().and_then(Lang::from_tag).unwrap_or_default()
        }
        fn answer(&self, docs: &Docs) -> Answer {
            docs.ask(self.lang(), None, &Question::new(&self.ask, None).unwrap())
        }
        /// Whether this page answers it.
        fn is_answered_by(&self, path: &str) -> bool {
            let name = path.rsplit('/').next().unwrap_or_default();
            name == self.page || self.also.iter().any(|also| also == name)
        }
        /// Whether the expected sentence is among these.
        fn is_said_by(&self, texts: &[&str]) -> bool {
            texts.iter().any(|text| plain(text).contains(&plain(&self.sentence)))
        }
    }

    /// Without what a sentence may be written with or without.
    fn plain(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
    }

    fn set(name: &str) -> Set {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn percent(right: usize, all: usize) -> f64 {
        100.0 * right as f64 / all as f64
    }

    #[test]
    fn questions_are_answered_from_the_right_page_and_others_are_not_answered() {
        let docs = docs();
        let set = set("questions.toml");
        assert!(set.question.len() >= 60 && set.unanswered.len() >= 20, "the set is as large as it should be");
        let (mut first, mut answered, mut sentence, mut lead) = (0, 0, 0, 0);
        for asked in &set.question {
            let answer = asked.answer(&docs);
            let source = answer.sources.first().map(|source| source.page.as_str()).unwrap_or_default();
            let right = asked.is_answered_by(source);
            let texts: Vec<&str> = answer.sentences.iter().map(|sentence| sentence.text.as_str()).collect();
            let (said, led) = (asked.is_said_by(&texts), asked.is_said_by(&texts[..texts.len().min(1)]));
            first += usize::from(right);
            answered += usize::from(answer.says && right);
            sentence += usize::from(said);
            lead += usize::from(led);
            if !right || !answer.says || !said {
                println!(
                    "{} {:.2} {:?} -> {source}{}{}",
                    if right { "     " } else { "WRONG" },
                    answer.confidence,
                    asked.ask,
                    if answer.says { "" } else { " (does not say)" },
                    if said {
                        String::new()
                    } else {
                        format!("\n        said: {texts:?}\n        expected: {:?} of {}", asked.sentence, asked.page)
                    },
                );
            }
        }
        let mut refused = 0;
        for asked in &set.unanswered {
            let answer = asked.answer(&docs);
            refused += usize::from(!answer.says);
            if answer.says {
                println!(
                    "SAYS  {:.2} {:?} -> {} {:?}",
                    answer.confidence, asked.ask, answer.sources[0].address, answer.sentences[0].text
                );
            }
        }
        let (questions, others) = (set.question.len(), set.unanswered.len());
        println!(
            "right source first: {first} of {questions} ({:.1} %); … and answered: {answered} ({:.1} %)\n\
         the expected sentence in the answer: {sentence} ({:.1} %), first: {lead} ({:.1} %)\n\
         \"does not say\" right: {refused} of {others} ({:.1} %)",
            percent(first, questions),
            percent(answered, questions),
            percent(sentence, questions),
            percent(lead, questions),
            percent(refused, others),
        );
        assert!(percent(first, questions) >= 90.0);
        assert!(percent(refused, others) >= 80.0);
    }

    /// Whoever tries the README's own question gets an answer.
    #[test]
    fn the_question_of_the_readme_is_answered() {
        let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
        let asked: Vec<&str> =
            readme.split("ask=").skip(1).filter_map(|rest| rest.split_once('"').map(|(asked, _)| asked)).collect();
        assert!(!asked.is_empty());
        for asked in asked {
            let answer = docs().ask(Lang::En, None, &Question::new(asked, None).unwrap());
            assert!(answer.says, "{asked}: {:.2}", answer.confidence);
        }
    }

    /// A second set, written when the search had been tuned with the first: what it says of questions that it was not made for.
    #[test]
    fn questions_that_were_not_tuned_with_come_right_too() {
        let docs = docs();
        let set: Set = toml::from_str(include_str!("held_out.toml")).unwrap();
        let first = |asked: &Asked| {
            asked.answer(&docs).sources.first().is_some_and(|source| asked.is_answered_by(&source.page))
        };
        let right = set.question.iter().filter(|asked| first(asked)).count();
        let refused = set.unanswered.iter().filter(|asked| !asked.answer(&docs).says).count();
        println!(
            "held out: right source first: {right} of {} ({:.1} %); \"does not say\" right: {refused} of {} ({:.1} %)",
            set.question.len(),
            percent(right, set.question.len()),
            set.unanswered.len(),
            percent(refused, set.unanswered.len()),
        );
        assert!(percent(right, set.question.len()) >= 80.0);
        assert!(percent(refused, set.unanswered.len()) >= 70.0);
    }

    /// What each bar of confidence would do; the one in use is [`tollgate_docs::ask::LEAST_CONFIDENCE`].
    #[test]
    fn the_bar() {
        let docs = docs();
        let set = set("questions.toml");
        let confidence =
            |asked: &[Asked]| -> Vec<f32> { asked.iter().map(|asked| asked.answer(&docs).confidence).collect() };
        let (said, unsaid) = (confidence(&set.question), confidence(&set.unanswered));
        println!("bar   answered though it is there   not answered though it is not");
        for bar in (20..=80).step_by(5).map(|bar| bar as f32 / 100.0) {
            let over = said.iter().filter(|confidence| **confidence >= bar).count();
            let under = unsaid.iter().filter(|confidence| **confidence < bar).count();
            println!("{bar:.2}  {:5.1} %  {:5.1} %", percent(over, said.len()), percent(under, unsaid.len()));
        }
    }

    /// The expected sentences stand on their pages: a question whose answer was edited away is noticed.
    #[test]
    fn every_expected_sentence_is_on_its_page() {
        let docs = docs();
        for asked in set("questions.toml").question {
            let passages = docs
                .passages(asked.lang())
                .iter()
                .filter(|passage| passage.page.rsplit('/').next() == Some(&asked.page));
            let texts: Vec<String> = passages.map(tollgate_docs::Passage::text).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            assert!(asked.is_said_by(&texts), "{:?} is not on {}", asked.sentence, asked.page);
        }
    }
}
