//! The command line: what there is, and which code answers for it.
//!
//! A noun is a file: its arguments, its calls of the API, its tables. Exit codes are [`failure::Failure`]'s.

mod accounts;
mod api;
mod audit;
mod body;
mod failure;
mod find;
mod json;
mod keys;
mod leaks;
mod models;
mod nodes;
mod plans;
mod print;
mod scan;
mod screen;
mod tokens;
mod upstreams;
mod usage;
mod users;
mod webhooks;
mod words;

use std::{borrow::Cow, process::ExitCode};

use clap::{
    Args, Parser, Subcommand,
    builder::{Styles, styling::Style},
};

pub use api::agent;
pub use failure::Failure;
pub use screen::{Entry, Screen, Tone};

use crate::{
    demo::{self, DemoArguments},
    doctor,
    reference::ReferencePage,
    serve,
    settings::{Arguments, Environment, Settings},
    telemetry, world,
};

const STYLES: Styles =
    Styles::plain().header(Style::new().bold()).usage(Style::new().bold()).literal(Style::new().bold());
const AFTER: &str =
    "Exit codes: 0 done; 1 the command ran and the answer is no; 2 wrong usage; 3 server unreachable; 4 refused.";

/// API keys for AI models: issue, admit, meter, revoke.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, styles = STYLES, after_help = AFTER, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try everything on one machine: nothing to configure, no GPU
    Demo(DemoArguments),
    /// Serve: inference, management and console
    Serve(ServeArguments),
    /// Print a new operator's access token; works on the store itself, server running or not
    Bootstrap(StoreArguments),
    /// API keys for inference
    Keys(Noun<keys::KeysCommand>),
    /// What was used: requests, tokens, cost
    Usage {
        #[command(flatten)]
        arguments: usage::UsageArguments,
        #[command(flatten)]
        server: api::ServerArguments,
    },
    /// The models of the catalogue
    Models(Noun<models::ModelsCommand>),
    /// The servers that models run on
    Upstreams(Noun<upstreams::UpstreamsCommand>),
    /// What accounts subscribe to
    Plans(Noun<plans::PlansCommand>),
    /// Who pays and is billed
    Accounts(Noun<accounts::AccountsCommand>),
    /// Who manages
    Users(Noun<users::UsersCommand>),
    /// Access tokens for the management API and this program
    Tokens(Noun<tokens::TokensCommand>),
    /// The processes that serve
    Nodes(Noun<nodes::NodesCommand>),
    /// Who changed what
    Audit(Noun<audit::AuditCommand>),
    /// Find keys in files, archives and git histories, offline, and have them disabled
    Scan(scan::ScanArguments),
    /// Where notices are posted, such as of a leaked key
    Webhooks(Noun<webhooks::WebhooksCommand>),
    /// Mail to owners and operators
    Mail(Noun<webhooks::MailCommand>),
    /// Check configuration, store, disk, mail, upstreams and clock, and say what to do about each fault
    Doctor(doctor::DoctorArguments),
    /// Print the management API's OpenAPI 3.1 document
    Openapi,
    /// Print the effective configuration, secrets hidden, with where each setting comes from
    Config {
        /// Print every setting with its default and its reason instead
        #[arg(long)]
        defaults: bool,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Print completions for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Print a page of the reference as Markdown
    #[command(hide = true)]
    Reference {
        /// api, cli, settings or errors
        page: ReferencePage,
    },
}

#[derive(Debug, Args)]
struct Noun<C: Subcommand> {
    #[command(subcommand)]
    command: C,
    #[command(flatten)]
    server: api::ServerArguments,
}

/// Arguments of the commands that read the settings.
#[derive(Debug, Clone, Args)]
pub struct StoreArguments {
    /// The settings file [default: ./tollgate.toml if present]
    #[arg(long, value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
    /// Where store, journal and master key lie [default: data.directory of the settings]
    #[arg(long, value_name = "DIR")]
    pub data: Option<std::path::PathBuf>,
}

/// Arguments of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Where to listen, such as 0.0.0.0:8080; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where metrics are served, such as 127.0.0.1:9464; empty: nowhere
    #[arg(long, value_name = "ADDR")]
    metrics: Option<String>,
    /// Print one line of JSON on standard output when ready
    #[arg(long)]
    json: bool,
}

impl StoreArguments {
    /// The settings that these arguments lead to.
    pub fn settings(&self, environment: &Environment) -> Result<Settings, Failure> {
        let arguments = Arguments { config: self.config.clone(), data: self.data.clone(), listen: None, metrics: None };
        Ok(Settings::load(&arguments, environment)?)
    }
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let redacted = telemetry::guard(&world::real());
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // It may repeat an argument, and standard error is kept: by CI, for one.
            let said = error.to_string();
            let Cow::Owned(said) = redacted.text(&said) else { error.exit() };
            eprint!("{said}");
            return Failure::Usage(said).exit();
        }
    };
    let environment = Environment::read();
    match dispatch(&cli.command, &environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                eprintln!("tollgate: {}", redacted.text(message));
            }
            failure.exit()
        }
    }
}

fn dispatch(command: &Command, environment: &Environment) -> Result<(), Failure> {
    let api = |server: &api::ServerArguments| api::Api::new(server, environment, world::real());
    match command {
        Command::Demo(arguments) => demo::run(arguments, environment),
        Command::Serve(arguments) => {
            let settings = Settings::load(
                &Arguments {
                    config: arguments.store.config.clone(),
                    data: arguments.store.data.clone(),
                    listen: arguments.listen.clone(),
                    metrics: arguments.metrics.clone(),
                },
                environment,
            )?;
            serve::run(settings, arguments.json, environment)
        }
        Command::Bootstrap(arguments) => {
            let token = serve::bootstrap(arguments.settings(environment)?)?;
            Screen::real(environment, false).print(token.expose())
        }
        Command::Keys(noun) => keys::run(&noun.command, &api(&noun.server)?),
        Command::Usage { arguments, server } => usage::run(arguments, &api(server)?),
        Command::Models(noun) => models::run(&noun.command, &api(&noun.server)?),
        Command::Upstreams(noun) => upstreams::run(&noun.command, &api(&noun.server)?, environment),
        Command::Plans(noun) => plans::run(&noun.command, &api(&noun.server)?),
        Command::Accounts(noun) => accounts::run(&noun.command, &api(&noun.server)?),
        Command::Users(noun) => users::run(&noun.command, &api(&noun.server)?),
        Command::Tokens(noun) => tokens::run(&noun.command, &api(&noun.server)?),
        Command::Nodes(noun) => nodes::run(&noun.command, &api(&noun.server)?),
        Command::Audit(noun) => audit::run(&noun.command, &api(&noun.server)?),
        Command::Scan(arguments) => scan::run(arguments, environment),
        Command::Webhooks(noun) => webhooks::run(&noun.command, &api(&noun.server)?),
        Command::Mail(noun) => webhooks::mail(&noun.command, &api(&noun.server)?),
        Command::Doctor(arguments) => doctor::run(arguments, environment),
        Command::Openapi => Screen::real(environment, false).print(&tollgate_manage::openapi_json()),
        Command::Config { defaults, store } => {
            let screen = Screen::real(environment, false);
            if *defaults {
                return screen.print(Settings::defaults_text());
            }
            screen.print(&store.settings(environment)?.show())
        }
        Command::Completions { shell } => Screen::real(environment, false).print(&print::completions(*shell)),
        Command::Man => Screen::real(environment, false).print(&print::manual()?),
        Command::Reference { page } => Screen::real(environment, false).print(&page.text()),
    }
}

/// Says that something is gone.
fn removed(api: &api::Api, answer: &api::Answer, name: &str) -> Result<(), Failure> {
    if api.screen.json() {
        return api.screen.print(&answer.text);
    }
    api.screen.print(&format!("{name} is removed."))
}
