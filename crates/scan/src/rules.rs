//! Rule files for other scanners, written from a deployment's prefixes.
//!
//! None of them knows a checksum, so they match by form alone; what they find can be handed to `tollgate scan --stdin`, which does.

use std::fmt::Write as _;

use tollgate_core::secret::{CHECKSUM_LENGTH, ID_LENGTH, Prefix, SECRET_LENGTH};

/// Another scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `.gitleaks.toml`, also of its successor Betterleaks, which knows no `secretGroup`: without one the first group counts.
    Gitleaks,
    /// TruffleHog 3's `--config`.
    Trufflehog,
    /// A custom detector of GitGuardian.
    GitGuardian,
    /// A custom pattern of GitHub's secret scanning.
    GitHub,
    /// A plugin of Yelp's detect-secrets.
    DetectSecrets,
}

/// The expression that keys and access tokens of these prefixes match, in the syntax that all of the tools share.
#[must_use]
pub fn expression(prefixes: &[Prefix]) -> String {
    let prefixes: Vec<&str> = prefixes.iter().map(Prefix::as_str).collect();
    let prefix = match prefixes.as_slice() {
        [one] => (*one).to_owned(),
        several => format!("(?:{})", several.join("|")),
    };
    format!("{prefix}a?_[0-9A-Za-z]{{{ID_LENGTH}}}_[0-9A-Za-z]{{{}}}", SECRET_LENGTH + CHECKSUM_LENGTH)
}

/// The rule file for a tool; its first lines say how it is used.
#[must_use]
pub fn rules(tool: Tool, prefixes: &[Prefix]) -> String {
    let expression = expression(prefixes);
    match tool {
        Tool::Gitleaks => gitleaks(&expression, prefixes),
        Tool::Trufflehog => trufflehog(&expression, prefixes),
        Tool::GitGuardian => gitguardian(&expression, prefixes),
        Tool::GitHub => github(&expression),
        Tool::DetectSecrets => detect_secrets(&expression),
    }
}

/// What keys and access tokens begin with.
fn beginnings(prefixes: &[Prefix]) -> impl Iterator<Item = String> {
    prefixes.iter().flat_map(|prefix| [format!("{}_", prefix.as_str()), format!("{}a_", prefix.as_str())])
}

fn gitleaks(expression: &str, prefixes: &[Prefix]) -> String {
    let keywords: Vec<String> = beginnings(prefixes).map(|text| format!("{text:?}")).collect();
    format!(
        "# Keys and access tokens of this Tollgate. As .gitleaks.toml: gitleaks git --config .gitleaks.toml\n\
         title = \"Tollgate\"\n\n\
         [extend]\n\
         useDefault = true\n\n\
         [[rules]]\n\
         id = \"tollgate-key\"\n\
         description = \"A Tollgate API key or access token\"\n\
         regex = '''\\b({expression})\\b'''\n\
         keywords = [{}]\n",
        keywords.join(", ")
    )
}

fn trufflehog(expression: &str, prefixes: &[Prefix]) -> String {
    let mut text = String::from(
        "# Keys and access tokens of this Tollgate: trufflehog git --config tollgate.yaml file://.\n\
         detectors:\n  - name: Tollgate\n    keywords:\n",
    );
    for beginning in beginnings(prefixes) {
        let _ = writeln!(text, "      - \"{beginning}\"");
    }
    let _ = writeln!(text, "    regex:\n      key: '\\b({expression})\\b'");
    text
}

fn gitguardian(expression: &str, prefixes: &[Prefix]) -> String {
    let mut text = String::from(
        "# Keys and access tokens of this Tollgate, a custom detector: Settings > Secrets > Detectors > Add a custom detector.\n\
         # Where the form asks for the expression alone, it is the one behind `pattern`.\n\
         name: tollgate_key\n\
         display_name: Tollgate API key or access token\n\
         family: api\n\
         pre_validators:\n  - type: ContentWhitelistPreValidator\n    patterns:\n",
    );
    for beginning in beginnings(prefixes) {
        let _ = writeln!(text, "      - '{beginning}'");
    }
    let _ = write!(
        text,
        "matchers:\n  - type: RegexMatcher\n    name: apikey\n    pattern: '(?<![0-9A-Za-z])({expression})(?![0-9A-Za-z])'\n"
    );
    text
}

fn github(expression: &str) -> String {
    format!(
        "# A custom pattern: Settings > Advanced Security > Secret Protection > Custom patterns > New pattern, or an\n\
         # organization's. Each value goes into the field of that name.\n\
         Pattern name:   Tollgate API key or access token\n\
         Secret format:  {expression}\n\
         Before secret:  \\A|[^0-9A-Za-z]\n\
         After secret:   \\z|[^0-9A-Za-z]\n"
    )
}

fn detect_secrets(expression: &str) -> String {
    format!(
        "\"\"\"Keys and access tokens of this Tollgate: detect-secrets scan --plugin tollgate_keys.py\"\"\"\n\
         import re\n\n\
         from detect_secrets.plugins.base import RegexBasedDetector\n\n\n\
         class TollgateKeyDetector(RegexBasedDetector):\n    \
             secret_type = \"Tollgate API key or access token\"\n    \
             denylist = (re.compile(r\"(?<![0-9A-Za-z]){expression}(?![0-9A-Za-z])\"),)\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: [Tool; 5] = [Tool::Gitleaks, Tool::Trufflehog, Tool::GitGuardian, Tool::GitHub, Tool::DetectSecrets];

    #[test]
    fn every_rule_has_the_expression_of_this_prefix() {
        let prefixes: Vec<Prefix> = vec!["acme".parse().unwrap()];
        for tool in TOOLS {
            assert!(rules(tool, &prefixes).contains("acmea?_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}"), "{tool:?}");
        }
        let two = [prefixes[0], Prefix::default()];
        assert_eq!(expression(&two), "(?:acme|tg)a?_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}");
    }

    #[test]
    fn a_rule_file_is_not_a_find_itself() {
        let finder = crate::Finder::new(&[Prefix::default()]);
        for tool in TOOLS {
            assert_eq!(finder.find(rules(tool, &[Prefix::default()]).as_bytes()), vec![]);
        }
    }
}
