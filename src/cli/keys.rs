//! `tollgate keys`: made, listed, changed and ended. A key's text goes to standard output alone, once.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    api::{Api, Call, percent_encoded},
    body::Body,
    failure::Failure,
    find,
    json::Json,
    screen::Entry,
    words,
};

/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 200;
/// Models of a key that a list shows before it says how many more there are.
const MODELS_SHOWN: usize = 3;

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List keys, newest first
    List {
        /// Only keys with this status: active, disabled, expired, revoked or leaked
        #[arg(long)]
        status: Option<String>,
        /// Only keys whose name, note or public id contains this
        #[arg(long)]
        search: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = find::parse_limit)]
        limit: usize,
        #[command(flatten)]
        account: AccountArgument,
    },
    /// Create a key and print it, alone, on standard output: KEY=$(tollgate keys create …)
    Create {
        /// What you will call it
        #[arg(long)]
        name: String,
        /// The models that it may use: a,b,c or all
        #[arg(long, value_name = "MODELS")]
        models: String,
        /// When it ends by itself: 30d, 2030-01-31 or 2030-01-31T12:00:00Z
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// A remark
        #[arg(long)]
        note: Option<String>,
        #[allow(rustdoc::bare_urls, reason = "also the help text, where angle brackets would stand")]
        /// A web page that may use it, such as https://app.example.com: whoever opens that page can read the key.
        /// More than one: set apart by commas, or given again
        #[arg(long = "allow-origin", value_name = "ORIGIN", value_delimiter = ',')]
        allow_origin: Option<Vec<String>>,
        #[command(flatten)]
        account: AccountArgument,
    },
    /// Show a key's record; its text is never shown again
    Show {
        #[command(flatten)]
        key: KeyArgument,
    },
    /// Change a key's name, models, end, note or origins, with effect at once
    Edit {
        #[command(flatten)]
        key: KeyArgument,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        /// Other models: a,b,c or all
        #[arg(long, value_name = "MODELS")]
        models: Option<String>,
        /// Another end: 30d, 2030-01-31, 2030-01-31T12:00:00Z, or never
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// Another remark; empty takes it away
        #[arg(long)]
        note: Option<String>,
        /// The web pages that may use it, in place of those of before; empty takes all away
        #[arg(long = "allow-origin", value_name = "ORIGIN", value_delimiter = ',')]
        allow_origin: Option<Vec<String>>,
    },
    /// End a key for ever; its running streams end too
    Revoke {
        #[command(flatten)]
        key: KeyArgument,
        /// Do it without asking
        #[arg(long, short)]
        yes: bool,
    },
    /// Give a key a new text under the same id and print it, alone, on standard output
    Rotate {
        #[command(flatten)]
        key: KeyArgument,
        /// How long the old text still works: 0s, 15m, 24h
        #[arg(long, default_value = "0s")]
        grace: String,
    },
    /// Switch a key off until it is enabled again; its running streams end
    Disable {
        #[command(flatten)]
        key: KeyArgument,
    },
    /// Switch a disabled key on again
    Enable {
        #[command(flatten)]
        key: KeyArgument,
    },
}

#[derive(Debug, Args)]
pub struct AccountArgument {
    /// The account, by id or handle; an operator's default is `default`
    #[arg(long, env = "TOLLGATE_ACCOUNT", hide_env_values = true)]
    pub account: Option<String>,
}

#[derive(Debug, Args)]
pub struct KeyArgument {
    /// The key: its id (key_…), its hint (tg_…), its public id, or its name if no other has it
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    account: AccountArgument,
}

pub fn run(command: &KeysCommand, api: &Api) -> Result<(), Failure> {
    match command {
        KeysCommand::List { status, search, limit, account } => {
            list(api, status.as_deref(), search.as_deref(), *limit, account)
        }
        KeysCommand::Create { name, models, expires, note, allow_origin, account } => {
            let body = Body::default()
                .set("name", Some(name))
                .set("models", Some(permission(models)?))
                .set("expires_at", expires.as_deref().map(|when| end(api, when)).transpose()?)
                .set("note", note.as_ref())
                .set("allowed_origins", allow_origin.as_deref().map(origins))
                .set("account", account.account.as_ref());
            let answer = api.post("keys", Call::with(body.done()))?.json()?;
            shown_once(api, &answer, "Created")
        }
        KeysCommand::Show { key } => {
            let found = key.find(api)?;
            if api.screen.json() { api.screen.print_json(&found) } else { show(api, &found) }
        }
        KeysCommand::Edit { key, name, models, expires, note, allow_origin } => {
            let body = Body::default()
                .set("name", name.as_ref())
                .set("models", models.as_deref().map(permission).transpose()?)
                .set("expires_at", expires.as_deref().map(|when| end(api, when)).transpose()?)
                .set_or_clear("note", note.as_ref())
                .set("allowed_origins", allow_origin.as_deref().map(origins))
                .change()?;
            let found = key.find(api)?;
            let answer = api.patch(&key.path(&found, ""), key.call(body))?;
            ended(api, &answer, "is changed")
        }
        KeysCommand::Revoke { key, yes } => revoke(api, key, *yes),
        KeysCommand::Rotate { key, grace } => {
            let grace = words::parse_span(grace).ok_or_else(|| {
                Failure::Usage(format!("{grace:?} is no time: a number and s, m, h, d or w, such as 24h"))
            })?;
            let found = key.find(api)?;
            let body = json!({ "grace": format!("{}s", grace.as_secs()) });
            let answer = api.post(&key.path(&found, "/rotate"), key.call(body))?.json()?;
            shown_once(api, &answer, "Rotated")?;
            if !api.screen.json() {
                let until = words::time(&answer, "rotated_until");
                let until = if until.is_empty() { "at once".to_owned() } else { format!("at {until}") };
                api.screen.say(&format!("The old text stops working {until}."));
            }
            Ok(())
        }
        KeysCommand::Disable { key } => {
            let found = key.find(api)?;
            ended(api, &api.post(&key.path(&found, "/disable"), key.call(json!({})))?, "is disabled")
        }
        KeysCommand::Enable { key } => {
            let found = key.find(api)?;
            ended(api, &api.post(&key.path(&found, "/enable"), key.call(json!({})))?, "is enabled")
        }
    }
}

fn list(
    api: &Api,
    status: Option<&str>,
    search: Option<&str>,
    limit: usize,
    account: &AccountArgument,
) -> Result<(), Failure> {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let query = [("status", text(status)), ("search", text(search)), ("account", account.account.clone())];
    let keys = api.list("keys", &query, limit)?;
    if api.screen.json() {
        return Ok(());
    }
    let now = api.world.now();
    let rows = keys.iter().map(|key| {
        vec![
            words::text(key, "hint").into(),
            words::text(key, "name").into(),
            status_of(key),
            words::models(key, MODELS_SHOWN).into(),
            words::ago(key, "last_used_at", now, "never").into(),
        ]
    });
    let none = "No keys. `tollgate keys create --name NAME --models all` makes one.";
    api.screen.table(&["KEY", "~NAME", "STATUS", "~MODELS", "LAST USED"], rows.collect(), none)
}

fn show(api: &Api, key: &Json) -> Result<(), Failure> {
    let now = api.world.now();
    let with_distance = |field: &str, absent: &str| match words::time(key, field) {
        time if time.is_empty() => absent.to_owned(),
        time => format!("{time} ({})", words::ago(key, field, now, "")),
    };
    let created_by = key.get("created_by");
    let created_by = created_by.and_then(|by| by.as_str().or_else(|| by.get("name")?.as_str())).unwrap_or_default();
    let leak = key.get("leak").filter(|leak| leak.is_object());
    let leaked = leak.map(|leak| {
        let (at, source) = (words::time(leak, "at"), words::text(leak, "source"));
        format!("{at}, reported by {source} (reports: {})", words::number(leak, "reports"))
    });
    let found_at = leak.map(|leak| words::text(leak, "found_at")).unwrap_or_default();
    api.screen.fields(&[
        ("id", words::text(key, "id").into()),
        ("key", words::text(key, "hint").into()),
        ("name", words::text(key, "name").into()),
        ("status", status_of(key)),
        ("models", words::models(key, usize::MAX).into()),
        ("created", with_distance("created_at", "").into()),
        ("created by", created_by.into()),
        ("last used", with_distance("last_used_at", "never").into()),
        ("expires", with_distance("expires_at", "never").into()),
        ("old text until", words::time(key, "rotated_until").into()),
        ("note", words::text(key, "note").into()),
        ("allowed origins", allowed_origins(key).into()),
        ("exposure", exposure(key, now).into()),
        ("leaked", leaked.unwrap_or_default().into()),
        ("found at", found_at.into()),
    ])
}

/// The web pages that may use a key.
fn allowed_origins(key: &Value) -> String {
    let origins = key.get("allowed_origins").and_then(Value::as_array);
    match origins.filter(|origins| !origins.is_empty()) {
        Some(origins) => words::listed(origins.iter().filter_map(Value::as_str), usize::MAX),
        None => String::new(),
    }
}

/// That web pages used a key that may not; empty where none did.
fn exposure(key: &Value, now: tollgate_core::Timestamp) -> String {
    let exposure = key.get("exposure").unwrap_or(&Value::Null);
    let times = match words::number(exposure, "browser_requests").as_str() {
        "" | "0" => return String::new(),
        "1" => "1 time".to_owned(),
        many => format!("{many} times"),
    };
    let from = match words::text(exposure, "last_origin") {
        "" => String::new(),
        origin => format!(" from {origin}"),
    };
    let last = words::ago(exposure, "last_at", now, "");
    format!("used from a browser {times}, last{from} {last}: whoever opens that page has the key; rotate it")
}

/// A key's status, and what keeps it from working beside that.
fn status_of(key: &Value) -> Entry {
    let why = match words::text(key, "blocked_by") {
        "creator_disabled" => "its maker is disabled",
        "creator_removed" => "its maker left",
        "plan" => "no paid plan",
        "suspended" => "account suspended",
        _ => return Entry::status(words::text(key, "status")),
    };
    Entry::status_because(words::text(key, "status"), why)
}

/// Ends a key, after saying what that would stop.
fn revoke(api: &Api, argument: &KeyArgument, yes: bool) -> Result<(), Failure> {
    let key = argument.find(api)?;
    let (name, hint) = (words::text(&key, "name"), words::text(&key, "hint"));
    if words::text(&key, "status") == "revoked" && !api.screen.json() {
        api.screen.say(&format!("{name} ({hint}) is revoked already."));
        return Ok(());
    }
    api.screen.confirm(yes, &format!("{}\nRevoke {name} ({hint}) for ever?", last_use(api, &key)))?;
    let answer = api.post(&argument.path(&key, "/revoke"), argument.call(json!({})))?;
    ended(api, &answer, &format!("{name} ({hint}) is dead"))
}

/// When and by how many requests a key was last used.
fn last_use(api: &Api, key: &Value) -> String {
    let used = words::ago(key, "last_used_at", api.world.now(), "");
    if used.is_empty() {
        return "This key has never been used.".to_owned();
    }
    let recent = |field: &str| words::number(key.get("recent").unwrap_or(&Value::Null), field);
    match (recent("last_hour"), recent("last_day")) {
        (hour, day) if hour.is_empty() || day.is_empty() => format!("Last used {used}."),
        (hour, day) => {
            format!("Last used {used}: {} in the last hour, {} in the last day.", requests(&hour), requests(&day))
        }
    }
}

fn requests(number: &str) -> String {
    if number == "1" { "1 request".to_owned() } else { format!("{number} requests") }
}

/// Says that a change is in force: where, how fast, and what it ended.
fn ended(api: &Api, answer: &super::api::Answer, what: &str) -> Result<(), Failure> {
    let body = answer.json()?;
    if api.screen.json() {
        return api.screen.print_json(&body);
    }
    let named = if what.starts_with("is ") {
        format!("{} ({}) {what}", words::text(&body, "name"), words::text(&body, "hint"))
    } else {
        what.to_owned()
    };
    api.screen.print(&effect(&named, &body, answer.pending))
}

fn effect(what: &str, body: &Value, pending: bool) -> String {
    if pending {
        return format!(
            "{what}, but not every node has confirmed it yet: a node that does not is closed when its lease ends"
        );
    }
    let Some(effective) = body.get("effective").filter(|effective| effective.is_object()) else {
        return format!("{what}.");
    };
    let nodes = effective.get("nodes").and_then(Value::as_array).map_or(0, Vec::len);
    let nodes = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
    let after_ms = effective.get("after_ms").and_then(Value::as_f64).unwrap_or_default();
    let streams = effective.get("streams_cut").and_then(Value::as_u64).unwrap_or_default();
    let streams = match streams {
        0 => "no stream was running".to_owned(),
        1 => "1 running stream was ended".to_owned(),
        more => format!("{more} running streams were ended"),
    };
    format!("{what} on {nodes} after {after_ms:.1} ms; {streams}.")
}

/// Prints a key's text: this once.
fn shown_once(api: &Api, answer: &Json, done: &str) -> Result<(), Failure> {
    if api.screen.json() {
        return api.screen.print_json(answer);
    }
    let (name, id) = (words::text(answer, "name"), words::text(answer, "id"));
    api.screen.say(&format!("{done} {name} ({id}). This is the only time that the key is shown:"));
    api.screen.print(words::text(answer, "key"))
}

/// `all`, or names set apart by commas.
fn permission(models: &str) -> Result<Value, Failure> {
    let names: Vec<&str> = models.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    match names.as_slice() {
        [] => {
            Err(Failure::Usage("--models names no model: a,b,c or all (`tollgate models list` shows them)".to_owned()))
        }
        ["all"] => Ok(json!("all")),
        names => Ok(json!(names)),
    }
}

/// The origins that were given; an empty one is none.
fn origins(given: &[String]) -> Vec<&str> {
    given.iter().map(|origin| origin.trim()).filter(|origin| !origin.is_empty()).collect()
}

fn end(api: &Api, when: &str) -> Result<Value, Failure> {
    if when == "never" {
        return Ok(Value::Null);
    }
    words::parse_when(when, api.world.now()).map(|at| json!(at)).map_err(Failure::Usage)
}

impl KeyArgument {
    /// The key's record, whichever way it was named.
    fn find(&self, api: &Api) -> Result<Json, Failure> {
        let id = if self.key.starts_with("key_") { self.key.clone() } else { self.search(api)? };
        let call = Call::default().query("account", self.account.account.as_ref());
        api.get(&format!("keys/{}", percent_encoded(&id)), call)?.json()
    }
    fn search(&self, api: &Api) -> Result<String, Failure> {
        if self.key.chars().count() > LONGEST_NAME {
            return Err(Failure::No("there is no key of such a long name".to_owned()));
        }
        // tg_<id>… as lists show it, tg_<id>, or the twelve characters alone. Of a whole key only these go out.
        let mut parts = self.key.trim_end_matches('…').split('_');
        let public = match (parts.next(), parts.next()) {
            (Some(_), Some(id)) => id,
            (Some(id), None) => id,
            _ => "",
        };
        let is_public = public.len() == 12 && public.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let wanted = if is_public { public } else { self.key.as_str() };
        let query = [("search", Some(wanted.to_owned())), ("account", self.account.account.clone())];
        let fits = |key: &Value| {
            words::text(key, "name") == self.key || is_public && words::text(key, "hint").contains(public)
        };
        find::one_id(api, "keys", &query, "key", &self.key, fits)
    }
    fn path(&self, key: &Value, action: &str) -> String {
        format!("keys/{}{action}", percent_encoded(words::text(key, "id")))
    }
    fn call(&self, body: Value) -> Call<'static> {
        Call::with(body).query("account", self.account.account.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_is_all_or_names() {
        assert_eq!(permission("all").unwrap(), json!("all"));
        assert_eq!(permission("a, b,").unwrap(), json!(["a", "b"]));
        assert_eq!(permission(" ,").unwrap_err().code(), 2);
    }

    #[test]
    fn origins_are_given_or_taken_away() {
        let given = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            origins(&given(&["https://a.example", " http://localhost:3000"])),
            ["https://a.example", "http://localhost:3000"]
        );
        assert!(origins(&given(&[""])).is_empty());
    }

    #[test]
    fn a_key_that_pages_used_says_from_where() {
        let now = "2026-11-20T08:00:00Z".parse().unwrap();
        let key = json!({"exposure": {"browser_requests": 12, "last_at": "2026-11-20T07:00:00Z", "last_origin": "https://a.example"}});
        assert_eq!(
            exposure(&key, now),
            "used from a browser 12 times, last from https://a.example 60 minutes ago: whoever opens that page has the key; rotate it"
        );
        assert_eq!(
            exposure(&json!({"exposure": {"browser_requests": 0, "last_at": null, "last_origin": null}}), now),
            ""
        );
    }

    #[test]
    fn a_key_that_does_not_work_says_why() {
        for (key, status) in [
            (json!({"status": "active", "blocked_by": null}), "active"),
            (json!({"status": "disabled"}), "disabled"),
            (json!({"status": "disabled", "blocked_by": "creator_removed"}), "disabled (its maker left)"),
            (json!({"status": "active", "blocked_by": "plan"}), "active (no paid plan)"),
        ] {
            assert_eq!(status_of(&key).text(), status);
        }
    }

    #[test]
    fn a_revoked_key_is_said_to_be_dead_where_and_how_fast() {
        let body = json!({ "effective": { "after_ms": 0.42, "nodes": [{ "id": "node_1" }], "streams_cut": 2 } });
        assert_eq!(
            effect("app (tg_x…) is dead", &body, false),
            "app (tg_x…) is dead on 1 node after 0.4 ms; 2 running streams were ended."
        );
        assert!(effect("x", &body, true).contains("not every node"));
    }
}
