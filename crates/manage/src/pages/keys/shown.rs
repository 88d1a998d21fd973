//! The one answer that holds a key's text, and what can be done with it at once.

use askama::Template;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tollgate_core::{Model, Permission, Timestamp, catalog::ModelKind};
use tollgate_store::PageRequest;

use super::super::{Chrome, Lang, When, address::base_url, render, texts::Keys};
use crate::services::{Confirmed, KeyShown, Services};

#[derive(Template)]
#[template(path = "keys/shown.html")]
pub(super) struct ShownPage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static Keys,
    pub(super) name: String,
    pub(super) secret: String,
    /// Present after a rotation: until when the old text works, if it does.
    pub(super) rotated: Option<Option<When>>,
    /// Not every node has confirmed that the old text is out; nothing more is known of when.
    pub(super) pending: bool,
    pub(super) snippets: Vec<Snippet>,
    pub(super) list: String,
}

/// A text that is ready to run.
pub(super) struct Snippet {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) text: String,
}

/// Shows a key. Whatever fails here is left out: the key is shown.
pub(super) async fn shown(
    chrome: Chrome,
    services: &Services,
    headers: &HeaderMap,
    confirmed: Confirmed<KeyShown>,
    is_rotated: bool,
    list: String,
) -> Response {
    let t = Keys::of(chrome.look.lang);
    let KeyShown { plain, key } = &confirmed.value;
    let model = first_model(services, &key.permission).await;
    let base = base_url(services.public_url.as_deref(), headers);
    let now: Timestamp = services.world.now();
    let page = ShownPage {
        t,
        name: key.name.to_string(),
        secret: plain.expose().to_owned(),
        rotated: is_rotated.then(|| key.rotated_until.filter(|until| *until > now).map(When)),
        pending: confirmed.pending,
        snippets: snippets(&base, plain.expose(), model.as_ref(), t),
        list,
        chrome,
    };
    render(if is_rotated { StatusCode::OK } else { StatusCode::CREATED }, &page)
}

/// The first permitted model that answers in words, else one that makes vectors, else none.
pub(crate) async fn first_model(services: &Services, permission: &Permission) -> Option<(String, ModelKind)> {
    let page = PageRequest { cursor: None, limit: PageRequest::MOST };
    let models = services.model_list(&page).await.ok()?.data;
    let permitted = |model: &&Model| match permission {
        Permission::All => true,
        Permission::Models(names) => names.contains(&model.name),
    };
    let models: Vec<&Model> = models.iter().filter(permitted).collect();
    let first = |kind| models.iter().find(|model| model.kind == kind);
    let found = first(ModelKind::Chat).or_else(|| first(ModelKind::Embedding));
    found.map(|model| (model.name.to_string(), model.kind))
}

/// A first call of a model by `curl`, with this as the key.
pub(crate) fn first_call(base: &str, key: &str, model: Option<&(String, ModelKind)>, lang: Lang) -> String {
    let first = snippets(base, key, model, Keys::of(lang)).into_iter().next();
    first.map_or_else(String::new, |snippet| snippet.text)
}

/// Names of models hold neither quotes nor blanks, keys neither; the address is checked above or by the settings.
fn snippets(base: &str, key: &str, model: Option<&(String, ModelKind)>, t: &'static Keys) -> Vec<Snippet> {
    let env = format!("export OPENAI_BASE_URL={base}/v1\nexport OPENAI_API_KEY={key}\n");
    let (curl, python, javascript, litellm) = match model {
        Some((model, ModelKind::Embedding)) => (
            format!(
                "curl {base}/v1/embeddings \\\n  -H \"Authorization: Bearer {key}\" \\\n  \
                 -H \"Content-Type: application/json\" \\\n  \
                 -d '{{\"model\": \"{model}\", \"input\": \"Hello\"}}'\n"
            ),
            format!(
                "from openai import OpenAI\n\nclient = OpenAI(\n    base_url=\"{base}/v1\",\n    \
                 api_key=\"{key}\",\n)\nanswer = client.embeddings.create(model=\"{model}\", input=\"Hello\")\n\
                 print(answer.data[0].embedding)\n"
            ),
            format!(
                "import OpenAI from \"openai\";\n\nconst client = new OpenAI({{\n  baseURL: \"{base}/v1\",\n  \
                 apiKey: \"{key}\",\n}});\nconst answer = await client.embeddings.create({{ model: \"{model}\", \
                 input: \"Hello\" }});\nconsole.log(answer.data[0].embedding);\n"
            ),
            format!(
                "import litellm\n\nanswer = litellm.embedding(\n    model=\"openai/{model}\",\n    \
                 api_base=\"{base}/v1\",\n    api_key=\"{key}\",\n    input=[\"Hello\"],\n)\nprint(answer.data[0])\n"
            ),
        ),
        Some((model, _)) => (
            format!(
                "curl {base}/v1/chat/completions \\\n  -H \"Authorization: Bearer {key}\" \\\n  \
                 -H \"Content-Type: application/json\" \\\n  \
                 -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'\n"
            ),
            format!(
                "from openai import OpenAI\n\nclient = OpenAI(\n    base_url=\"{base}/v1\",\n    \
                 api_key=\"{key}\",\n)\nanswer = client.chat.completions.create(\n    model=\"{model}\",\n    \
                 messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}],\n)\n\
                 print(answer.choices[0].message.content)\n"
            ),
            format!(
                "import OpenAI from \"openai\";\n\nconst client = new OpenAI({{\n  baseURL: \"{base}/v1\",\n  \
                 apiKey: \"{key}\",\n}});\nconst answer = await client.chat.completions.create({{\n  \
                 model: \"{model}\",\n  messages: [{{ role: \"user\", content: \"Hello\" }}],\n}});\n\
                 console.log(answer.choices[0].message.content);\n"
            ),
            format!(
                "import litellm\n\nanswer = litellm.completion(\n    model=\"openai/{model}\",\n    \
                 api_base=\"{base}/v1\",\n    api_key=\"{key}\",\n    \
                 messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}],\n)\n\
                 print(answer.choices[0].message.content)\n"
            ),
        ),
        None => {
            let curl = format!("curl {base}/v1/models \\\n  -H \"Authorization: Bearer {key}\"\n");
            return vec![
                Snippet { id: "snippet-curl", title: "curl", text: curl },
                Snippet { id: "snippet-env", title: t.snippet_env, text: env },
            ];
        }
    };
    vec![
        Snippet { id: "snippet-curl", title: "curl", text: curl },
        Snippet { id: "snippet-python", title: "Python (openai)", text: python },
        Snippet { id: "snippet-javascript", title: "JavaScript (openai, Node.js)", text: javascript },
        Snippet { id: "snippet-litellm", title: "LiteLLM (Python)", text: litellm },
        Snippet { id: "snippet-env", title: t.snippet_env, text: env },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ready_to_run_names_address_key_and_model() {
        let t = Keys::of(Lang::En);
        for kind in [ModelKind::Chat, ModelKind::Embedding] {
            let model = ("org/model-1".to_owned(), kind);
            let snippets = snippets("http://h:1", "tg_key", Some(&model), t);
            assert_eq!(snippets.len(), 5);
            for snippet in &snippets {
                let text = &snippet.text;
                assert!(text.contains("http://h:1/v1") && text.contains("tg_key"), "{text}");
                assert!(snippet.id == "snippet-env" || text.contains("org/model-1"), "{text}");
            }
            let json = snippets[0].text.split('\'').nth(1).unwrap();
            let body: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(body["model"], "org/model-1");
        }
        assert!(snippets("http://h:1", "tg_key", None, t)[0].text.contains("/v1/models"));
    }
}
