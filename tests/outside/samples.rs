//! Every sample in the documentation: run as it stands against a live server, or read as what it says it is.
//!
//! The first word after a fence is the language; `run` behind it makes the block a program that has to end well, `settings` a
//! settings file that has to be taken. Each page has a `tollgate demo` of its own, whose values stand where the page has
//! placeholders; its blocks run in order, so that a later one may use what an earlier one made. Programs get the key and
//! token by `TOLLGATE_API_KEY`, `TOLLGATE_TOKEN`, `TOLLGATE_URL` and `TOLLGATE_BASE_URL`, and nothing of the caller's.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use futures_util::{StreamExt as _, stream};
use tollgate_tests::{
    Value,
    cli::{Ran, finish},
    node::{binary, files_below},
};

use super::demo::Demo;

/// Languages of blocks that are only shown.
const SHOWN: [&str; 6] = ["text", "ini", "nginx", "caddyfile", "ruby", "http"];
/// What `{{…}}` may stand for.
const PLACEHOLDERS: [&str; 7] = ["base_url", "url", "key_prefix", "contact_url", "model", "models", "product"];
/// Stands for any secret that a settings file names: enough digits for a master key.
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// Reads YAML or TOML, all of it, as its first argument says.
const PARSE: &str = "import sys, tomllib, yaml\ntext = sys.stdin.read()\n\
                     list(yaml.safe_load_all(text)) if sys.argv[1] == 'yaml' else tomllib.loads(text)\n";

/// A fenced block of a page.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    line: usize,
    language: String,
    marks: Vec<String>,
    text: String,
}

impl Block {
    fn is(&self, mark: &str) -> bool {
        self.marks.iter().any(|own| own == mark)
    }
}

/// The fenced blocks of a page, in order.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            assert!(
                !line.trim_start().starts_with("```"),
                "line {}: a fence stands at the line's beginning",
                number + 1
            );
            continue;
        };
        let mut words = info.split_whitespace().map(str::to_owned);
        let language = words.next().unwrap_or_else(|| panic!("line {}: a block names its language", number + 1));
        let mut text = String::new();
        let mut is_closed = false;
        for (_, line) in lines.by_ref() {
            if line == "```" {
                is_closed = true;
                break;
            }
            text.push_str(line);
            text.push('\n');
        }
        assert!(is_closed, "line {}: the block is never closed", number + 1);
        blocks.push(Block { line: number + 1, language, marks: words.collect(), text });
    }
    blocks
}

/// The text with this server's values in it.
fn filled(text: &str, values: &Value) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, behind) = behind.split_once("}}").unwrap_or_else(|| panic!("a placeholder is not closed: {text}"));
        let value = values[name].as_str().unwrap_or_else(|| panic!("{{{{{name}}}}} is none of {PLACEHOLDERS:?}"));
        filled.push_str(before);
        filled.push_str(value);
        rest = behind;
    }
    filled + rest
}

/// Where a page's programs run.
struct Place {
    directory: tempfile::TempDir,
    demo: Demo,
    values: Value,
}

impl Place {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("demo")).unwrap();
        fs::create_dir_all(directory.path().join("bin")).unwrap();
        fs::create_dir_all(directory.path().join("work")).unwrap();
        symlink(binary(), directory.path().join("bin/tollgate")).unwrap();
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/node_modules");
        symlink(packages, directory.path().join("work/node_modules")).unwrap();
        let demo = Demo::start(&directory.path().join("demo")).await;
        let url = demo.text("url").to_owned();
        let names = demo.list("models");
        let values = tollgate_tests::json!({
            "base_url": format!("{url}/v1"),
            "url": url,
            "key_prefix": demo.text("key").split('_').next(),
            "contact_url": "mailto:sales@example.com",
            "product": "Tollgate",
            "model": names[0],
            "models": names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        });
        Self { directory, demo, values }
    }

    /// A program with this deployment in its environment, and nothing of ours.
    fn program(&self, program: impl Into<OsString>) -> Command {
        let mut path = vec![self.directory.path().join("bin")];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new(program.into());
        command
            .current_dir(self.directory.path().join("work"))
            .env_clear()
            .env("PATH", env::join_paths(path).unwrap())
            .env("HOME", self.directory.path())
            .env("NO_COLOR", "1")
            .env("TOLLGATE_URL", self.demo.text("url"))
            .env("TOLLGATE_BASE_URL", self.values["base_url"].as_str().unwrap())
            .env("TOLLGATE_TOKEN", self.demo.text("token"))
            .env("TOLLGATE_API_KEY", self.demo.text("key"))
            // LiteLLM asks the Internet for prices at each start otherwise.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .stdin(std::process::Stdio::null());
        command
    }

    /// What became of a block; an error says why it can be neither run nor read.
    fn tried(&self, block: &Block) -> Result<Ran, String> {
        let text = filled(&block.text, &self.values);
        let file = |name: &str| {
            let path = self.directory.path().join("work").join(name);
            fs::write(&path, &text).unwrap();
            path
        };
        let fine = || Ran { code: 0, stdout: String::new(), stderr: String::new() };
        match (block.language.as_str(), block.is("run")) {
            ("sh", run) => {
                let mut shell = self.program("bash");
                shell.args(["-euo", "pipefail"]).args((!run).then_some("-n")).arg("-c").arg(&text);
                Ok(finish(shell, None))
            }
            ("python", true) => {
                let mut python = self.program(python());
                python.arg(file("sample.py"));
                Ok(finish(python, None))
            }
            ("javascript", true) => {
                let mut node = self.program(node());
                node.arg(file("sample.mjs"));
                Ok(finish(node, None))
            }
            ("toml", false) if block.is("settings") => {
                let mut config = self.program(binary());
                config.args(["config", "--config"]).arg(file("tollgate.toml"));
                for name in text.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
                    let is_address = name.ends_with("_URL");
                    config.env(name, if is_address { "postgres://tollgate@db.example.com/tollgate" } else { SECRET });
                }
                Ok(finish(config, None))
            }
            ("yaml" | "toml", false) => {
                let mut parser = self.program(python());
                parser.args(["-c", PARSE, &block.language]);
                Ok(finish(parser, Some(&text)))
            }
            ("json", false) => serde_json::from_str::<Value>(&text).map(|_| fine()).map_err(|error| error.to_string()),
            (language, false) if SHOWN.contains(&language) => Ok(fine()),
            (language, run) => Err(format!("a block of `{language}` can be neither run nor read (run: {run})")),
        }
    }
}

fn python() -> OsString {
    env::var_os("TOLLGATE_TEST_PYTHON").expect(
        "this test needs TOLLGATE_TEST_PYTHON, a Python that has the packages of tests/python: run `cargo xtask test`, which \
         makes one",
    )
}
fn node() -> OsString {
    env::var_os("TOLLGATE_TEST_NODE").expect(
        "this test needs TOLLGATE_TEST_NODE, a Node.js beside which the packages of tests/browser are installed: run \
         `cargo xtask test`",
    )
}

/// The documentation's pages: everything under docs/ that is Markdown, but for decisions.
fn pages() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs");
    let mut pages = files_below(&docs);
    pages.retain(|path| {
        path.extension().is_some_and(|ending| ending == "md") && !path.starts_with(docs.join("decisions"))
    });
    pages.sort();
    pages
}

/// What is wrong with a page's samples.
async fn faults_of(path: PathBuf) -> Vec<String> {
    let blocks = blocks(&fs::read_to_string(&path).unwrap());
    if blocks.iter().all(|block| SHOWN.contains(&block.language.as_str())) {
        return Vec::new();
    }
    let place = Place::open().await;
    let tried = move || {
        let mut faults = Vec::new();
        for block in &blocks {
            let at = format!("{}:{}", path.display(), block.line);
            match place.tried(block) {
                Ok(ran) if ran.code == 0 => {}
                Ok(ran) => faults.push(format!("{at}: ended with {}\n{}\n{}", ran.code, ran.stdout, ran.stderr)),
                Err(why) => faults.push(format!("{at}: {why}")),
            }
        }
        faults
    };
    tokio::task::spawn_blocking(tried).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_of_the_documentation_runs() {
    let pages = pages();
    assert!(pages.len() > 20, "the documentation is not where it is looked for: {pages:?}");
    // Two pages at a time: more would only wait for one another.
    let faults: Vec<Vec<String>> = stream::iter(pages).map(faults_of).buffer_unordered(2).collect().await;
    let faults = faults.concat();
    assert!(faults.is_empty(), "{} samples do not work:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_that_does_not_work_is_told() {
    let page = "# P\n\n```sh run\ncurl --fail {{base_url}}/nothing\n```\n\n```sh\nif\n```\n\n```json\n{\n```\n\n```toml settings\n\
                [listen]\nadress = \"x\"\n```\n\n```toml\n[\n```\n\n```yaml\n[\n```\n\n```python run\nraise SystemExit(3)\n```\n\n\
                ```javascript run\nimport \"no-such-package\";\n```\n\n```python\nprint(1)\n```\n\n```cobol\nSTOP RUN.\n```\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("page.md");
    fs::write(&path, page).unwrap();
    let faults = faults_of(path).await;
    assert_eq!(faults.len(), blocks(page).len(), "{faults:#?}");
}

#[test]
fn blocks_are_found_with_what_stands_behind_the_fence() {
    let page = "a\n```sh run\necho\n```\nb\n```text\n```\n";
    let block = |line, language: &str, marks: &[&str], text: &str| Block {
        line,
        language: language.to_owned(),
        marks: marks.iter().map(|&mark| mark.to_owned()).collect(),
        text: text.to_owned(),
    };
    assert_eq!(blocks(page), [block(2, "sh", &["run"], "echo\n"), block(6, "text", &[], "")]);
}
