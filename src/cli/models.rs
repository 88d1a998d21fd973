//! `tollgate models`: the catalogue.

use std::str::FromStr;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use tollgate_core::{ModelKind, name::ModelName};

use super::{
    api::{Api, Call, percent_encoded},
    body::Body,
    failure::Failure,
    find,
    json::Json,
    words,
};

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the catalogue
    List {
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = find::parse_limit)]
        limit: usize,
    },
    /// Show a model
    Show {
        /// Its name
        name: ModelName,
    },
    /// Add a model; keys with all models may use it at once
    Add {
        /// What clients call it; cannot be changed later
        name: ModelName,
        /// chat, embedding, rerank, transcription, speech or image
        #[arg(long)]
        kind: ModelKind,
        #[command(flatten)]
        fields: ModelFields,
    },
    /// Change a model; prices count for requests that begin from then on
    Edit {
        /// Its name
        name: ModelName,
        #[command(flatten)]
        fields: ModelFields,
    },
    /// Withdraw a model: no key may use it any more; its usage stays
    Remove {
        /// Its name
        name: ModelName,
        /// Do it without asking
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct ModelFields {
    /// Its name for people; empty takes it away
    #[arg(long)]
    title: Option<String>,
    /// Input and output together, in tokens
    #[arg(long, value_name = "TOKENS")]
    context_window: Option<u64>,
    /// The most output of one request, in tokens
    #[arg(long, value_name = "TOKENS")]
    max_output_tokens: Option<u64>,
    /// An upstream that serves it: UPSTREAM or upstream=U,model=ITS-NAME-THERE,weight=N; may be said again
    #[arg(long, value_name = "UPSTREAM")]
    served_by: Vec<ServedBy>,
    /// The currency of its prices
    #[arg(long, value_name = "USD")]
    currency: Option<String>,
    /// Price of a million input tokens, such as 0.50
    #[arg(long, value_name = "PRICE")]
    input_price: Option<String>,
    /// Price of a million output tokens
    #[arg(long, value_name = "PRICE")]
    output_price: Option<String>,
    /// Price of a million input tokens from the upstream's cache
    #[arg(long, value_name = "PRICE")]
    cached_input_price: Option<String>,
}

/// An upstream of a model, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServedBy {
    upstream: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
}

impl FromStr for ServedBy {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "UPSTREAM, or upstream=NAME,model=NAME,weight=NUMBER".to_owned();
        if !text.contains('=') {
            return Ok(Self { upstream: text.to_owned(), model: None, weight: None });
        }
        let (mut upstream, mut model, mut weight) = (None, None, None);
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("upstream", value)) => upstream = Some(value.to_owned()),
                Some(("model", value)) => model = Some(value.to_owned()),
                Some(("weight", value)) => weight = Some(value.parse().map_err(|_| wrong())?),
                _ => return Err(wrong()),
            }
        }
        Ok(Self { upstream: upstream.ok_or_else(wrong)?, model, weight })
    }
}

pub fn run(command: &ModelsCommand, api: &Api) -> Result<(), Failure> {
    match command {
        ModelsCommand::List { limit } => {
            let models = api.list("models", &[], *limit)?;
            if api.screen.json() {
                return Ok(());
            }
            let rows = models.iter().map(|model| {
                vec![
                    words::text(model, "name").into(),
                    words::text(model, "kind").into(),
                    words::number(model, "context_window").into(),
                    price(model, "input_per_million").into(),
                    price(model, "output_per_million").into(),
                    served_by(model, 3).into(),
                ]
            });
            let columns = ["~NAME", "KIND", ">CONTEXT", ">INPUT/M", ">OUTPUT/M", "~SERVED BY"];
            api.screen.table(&columns, rows.collect(), "No models. `tollgate models add NAME --kind chat …` adds one.")
        }
        ModelsCommand::Show { name } => show(api, &api.get(&path(name), Call::default())?.json()?),
        ModelsCommand::Add { name, kind, fields } => {
            let body = fields.body(None).set("name", Some(name)).set("kind", Some(kind.as_str()));
            show(api, &api.post("models", Call::with(body.done()))?.json()?)
        }
        ModelsCommand::Edit { name, fields } => {
            // A price list is replaced as a whole: what is not named stays as it was, if nobody changed it meanwhile.
            let there = if fields.names_price() { Some(api.get(&path(name), Call::default())?) } else { None };
            let etag = there.as_ref().and_then(|there| there.etag.clone());
            let there = there.map(|there| there.json()).transpose()?;
            let body = fields.body(there.as_ref().and_then(|model| model.get("price"))).change()?;
            show(api, &api.patch(&path(name), Call::with(body).if_match(etag))?.json()?)
        }
        ModelsCommand::Remove { name, yes } => {
            api.screen.confirm(*yes, &format!("Withdraw {name} from every key?"))?;
            super::removed(api, &api.delete(&path(name), Call::default())?, name.as_str())
        }
    }
}

impl ModelFields {
    const fn names_price(&self) -> bool {
        self.currency.is_some()
            || self.input_price.is_some()
            || self.output_price.is_some()
            || self.cached_input_price.is_some()
    }
    fn body(&self, price: Option<&Value>) -> Body {
        let mut prices = price.filter(|price| price.is_object()).cloned().unwrap_or_else(|| json!({}));
        if let Value::Object(prices) = &mut prices {
            let named = [
                ("currency", &self.currency),
                ("input_per_million", &self.input_price),
                ("output_per_million", &self.output_price),
                ("cached_input_per_million", &self.cached_input_price),
            ];
            prices
                .extend(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))));
        }
        Body::default()
            .set_or_clear("title", self.title.as_ref())
            .set("context_window", self.context_window)
            .set("max_output_tokens", self.max_output_tokens)
            .set("served_by", (!self.served_by.is_empty()).then_some(&self.served_by))
            .set("price", self.names_price().then_some(prices))
    }
}

fn path(name: &ModelName) -> String {
    format!("models/{}", percent_encoded(name.as_str()))
}

fn price(model: &Value, field: &str) -> String {
    model.get("price").map(|price| words::text(price, field).to_owned()).unwrap_or_default()
}

fn served_by(model: &Value, most: usize) -> String {
    let servers = model.get("served_by").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    words::listed(servers.iter().map(|server| words::text(server, "upstream")), most)
}

fn show(api: &Api, model: &Json) -> Result<(), Failure> {
    if api.screen.json() {
        return api.screen.print_json(model);
    }
    let servers = model.get("served_by").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let server = |server: &Value| {
        let (upstream, name) = (words::text(server, "upstream"), words::text(server, "model"));
        format!("{upstream} as {name}, weight {}", words::number(server, "weight"))
    };
    let servers: Vec<String> = servers.iter().map(server).collect();
    let currency = price(model, "currency");
    let priced = |field: &str| match price(model, field) {
        amount if amount.is_empty() => amount,
        amount => format!("{amount} {currency} a million"),
    };
    api.screen.fields(&[
        ("name", words::text(model, "name").into()),
        ("id", words::text(model, "id").into()),
        ("title", words::text(model, "title").into()),
        ("kind", words::text(model, "kind").into()),
        ("context window", words::number(model, "context_window").into()),
        ("most output", words::number(model, "max_output_tokens").into()),
        ("input", priced("input_per_million").into()),
        ("cached input", priced("cached_input_per_million").into()),
        ("output", priced("output_per_million").into()),
        ("served by", if servers.is_empty() { "nobody".to_owned() } else { servers.join("\n") }.into()),
        ("created", words::time(model, "created_at").into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_typed_bare_or_with_its_name_for_the_model() {
        let served = |text: &str| serde_json::to_value(text.parse::<ServedBy>().unwrap()).unwrap();
        assert_eq!(served("gpu-a"), json!({ "upstream": "gpu-a" }));
        assert_eq!(
            served("upstream=gpu-a,model=Qwen/Qwen3:x@1,weight=2"),
            json!({ "upstream": "gpu-a", "model": "Qwen/Qwen3:x@1", "weight": 2 })
        );
        for wrong in ["model=a", "upstream=a,weight=x", "upstream=a,size=1", "a=b"] {
            assert!(wrong.parse::<ServedBy>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_named_price_leaves_the_others_as_they_were() {
        let fields = ModelFields {
            title: None,
            context_window: None,
            max_output_tokens: None,
            served_by: Vec::new(),
            currency: None,
            input_price: Some("2".to_owned()),
            output_price: None,
            cached_input_price: None,
        };
        let there = json!({ "currency": "EUR", "input_per_million": "1.00", "output_per_million": "3.00" });
        let price = json!({ "currency": "EUR", "input_per_million": "2", "output_per_million": "3.00" });
        assert_eq!(fields.body(Some(&there)).done(), json!({ "price": price }));
    }
}
