//! Settings: which source wins, what is said of mistakes, and where a value is said to come from.

use std::collections::BTreeMap;
use std::path::Path;

use selfreward::cli::arguments::SettingArgs;
use selfreward::cli::settings::{Gathered, gather_from};
use selfreward::engine::settings::{GateMode, Settings};

use crate::cli_story::{cli, program};

fn gather(toml: &str, environment: &[(&str, &str)], args: &SettingArgs) -> anyhow::Result<Gathered> {
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    gather_from(args, Some((Path::new("s.toml"), toml)), &environment)
}

fn origin(gathered: &Gathered, key: &str) -> String {
    gathered.values().into_iter().find(|(name, _, _)| name == key).unwrap().2.to_string()
}

#[test]
fn later_sources_win_and_each_value_says_where_it_comes_from() {
    let toml = "[dpo]\nbeta = 0.2\nlr = 1e-5\n\n[judge]\nsamples = 1_0\n[run]\nseed = 3\n";
    let environment =
        [("SELFREWARD_DPO__BETA", "0.3"), ("SELFREWARD_GATE__MODE", "wait"), ("SELFREWARD_RUN__SEED", "4")];
    let args = SettingArgs {
        set: vec!["dpo.beta=0.4".into(), "run.seed=5".into()],
        seed: Some(6),
        gate: Some("deadline:90s".into()),
        story: Some("parse".into()),
        ..SettingArgs::default()
    };
    let gathered = gather(toml, &environment, &args).unwrap();
    let settings = &gathered.settings;
    assert_eq!((settings.dpo.beta, settings.dpo.lr, settings.judge.samples, settings.run.seed), (0.4, 1e-5, 10, 6));
    assert_eq!((settings.gate.mode, settings.gate.deadline.as_str()), (GateMode::Deadline, "90s"));
    for (key, from) in [
        ("dpo.beta", "--set"),
        ("dpo.lr", "s.toml:3"),
        ("judge.samples", "s.toml:6"),
        ("run.seed", "--seed"),
        ("gate.mode", "--gate"),
        ("rehearsal.story", "--story"),
        ("dpo.epochs", "preset tiny"),
    ] {
        assert_eq!(origin(&gathered, key), from, "{key}");
    }
}

#[test]
fn every_mistake_is_said_at_once_with_its_place_and_the_nearest_name() {
    let toml = "preset = \"tiny\"\n[dpo]\nbetta = 0.2\nepochs = 1.5\nreference = \"second\"\n[dppo]\nbeta = 1\n\
                [judge]\nsamples = -1\n[gate]\nmode = 3\n[nonsense]\nx = 1\n";
    let args = SettingArgs { set: vec!["dpo.betaa=1".into()], ..SettingArgs::default() };
    let error = gather(toml, &[("SELFREWARD_DPO__BTA", "1")], &args).unwrap_err().to_string();
    for says in [
        "s.toml:3: there is no setting `dpo.betta`; did you mean `dpo.beta`?",
        "s.toml:4: `dpo.epochs` wants a whole number that is not negative, not 1.5",
        "s.toml:5: `dpo.reference`: unknown variant `second`",
        "s.toml:7: there is no setting `dppo.beta`; did you mean `dpo.beta`?",
        "s.toml:9: `judge.samples` wants a whole number that is not negative, not -1",
        "s.toml:11: `gate.mode` wants a text in quotes, not 3",
        "s.toml:13: there is no setting `nonsense.x`",
        "--set: there is no setting `dpo.betaa`; did you mean `dpo.beta`?",
        "SELFREWARD_DPO__BTA: there is no setting `dpo.bta`; did you mean `dpo.beta`?",
    ] {
        assert!(error.contains(says), "{says}\n---\n{error}");
    }
}

#[test]
fn values_of_the_right_kind_that_cannot_be_meant_are_refused() {
    for (assignment, says) in [
        ("gate.deadline=soon", "is no duration"),
        ("run.iterations=0", "at least 1"),
        ("candidates.n=1", "two sides"),
        ("data.held_out_share=1.5", "from 0 to less than 1"),
        ("model.device=cuda:x", "cuda:1"),
    ] {
        let args = SettingArgs { set: vec![assignment.into()], ..SettingArgs::default() };
        let error = gather("", &[], &args).unwrap_err().to_string();
        assert!(error.contains(says), "{assignment}: {error}");
    }
    for toml in ["dpo = 3", "[dpo", "dpo.beta = ", "preset = \"huge\"", "[dpo]\nbeta = nan"] {
        let error = gather(toml, &[], &SettingArgs::default()).unwrap_err().to_string();
        assert!(error.contains("s.toml:"), "{toml}: {error}");
    }
    let args = SettingArgs { gate: Some("sometimes".into()), ..SettingArgs::default() };
    assert!(gather("", &[], &args).unwrap_err().to_string().contains("deadline:30m"));
}

#[test]
fn the_preset_is_tiny_unless_it_is_named_or_a_model_is_brought() {
    let preset = |toml: &str| gather(toml, &[], &SettingArgs::default()).unwrap();
    assert_eq!(preset("").settings, Settings::tiny());
    assert_eq!(preset("preset = \"paper\"").settings, Settings::paper());
    let brought = preset("[model]\nbase = \"/m\"");
    assert_eq!((brought.preset, brought.settings.dpo.lr), ("paper", Settings::paper().dpo.lr));
    assert_eq!(preset("preset = \"tiny\"\n[model]\nbase = \"/m\"").preset, "tiny");
}

#[test]
fn the_written_configuration_reads_back_as_it_was() {
    // What `config show` prints can be set again, key by key, and gives the same settings.
    let shown = gather("", &[], &SettingArgs::default()).unwrap();
    let set = shown
        .values()
        .into_iter()
        .filter(|(_, value, _)| !value.is_null())
        .map(|(key, value, _)| format!("{key}={}", selfreward::cli::config::as_text(&value)));
    let args = SettingArgs {
        set: set.collect(),
        preset: Some(selfreward::cli::arguments::Preset::Paper),
        ..SettingArgs::default()
    };
    assert_eq!(gather("", &[], &args).unwrap().settings, shown.settings);
}

#[test]
fn config_commands_answer_for_people_and_scripts() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("selfreward.toml"), "[dpo]\nbeta = 0.25\n").unwrap();
    let show = cli(root.path(), &["config", "show", "--json"]).json();
    assert_eq!(show["schema"], 1);
    assert_eq!(show["settings"]["dpo.beta"]["value"], 0.25);
    assert_eq!(show["settings"]["dpo.beta"]["from"], "selfreward.toml:2");
    let changed = cli(root.path(), &["config", "show", "--changed"]).out;
    assert_eq!(changed.lines().count(), 2, "{changed}");
    let schema = cli(root.path(), &["config", "schema"]).json();
    let beta = schema["$defs"]["DpoSettings"]["properties"].as_object().unwrap();
    assert!(
        beta.contains_key("beta") && beta["nll_weight"]["description"].as_str().unwrap().contains("log-likelihood")
    );
    assert!(cli(root.path(), &["config", "path"]).out.starts_with("selfreward.toml  (used)\n"));
    assert!(cli(root.path(), &["config", "check"]).out.starts_with("fine: preset tiny"));
    let missing = cli(root.path(), &["config", "check", "--set", "data.ift=/nowhere/x.jsonl"]);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("data.ift: there is nothing at /nowhere/x.jsonl"), "{}", missing.err);
    let said = program(root.path(), &["config", "check"]).env("SELFREWARD_DPO__BETTA", "1").output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    let other = cli(root.path(), &["config", "show", "--config", "nowhere.toml"]);
    assert_eq!(other.code, 1);
    assert!(other.err.contains("reading the settings file nowhere.toml"), "{}", other.err);
}

#[test]
fn manual_pages_and_completions_name_every_command() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("man");
    assert_eq!(cli(root.path(), &["man", folder.to_str().unwrap()]).code, 0);
    for command in ["", "-run", "-veto", "-config-show", "-metrics"] {
        let page = std::fs::read_to_string(folder.join(format!("selfreward{command}.1"))).unwrap();
        assert!(page.contains(".TH") && page.len() > 500, "selfreward{command}.1");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = cli(root.path(), &["completions", shell]).out;
        assert!(script.contains("veto") && script.contains("--fail-on") || script.contains("fail-on"), "{shell}");
    }
}
