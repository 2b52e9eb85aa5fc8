//! The kit is fair: a server that does what the seed asks conforms in whatever words, and one that
//! breaks a clause is blamed on that clause and no other.
//!
//! A plain run tries every wording that is allowed in a few combinations; with
//! `META_STATS_EACH_WORDING` each is tried alone, too. `META_STATS_WORDINGS` sets how many random
//! wordings are tried, `META_STATS_REPEAT` how often each test is run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

use libtest_mimic::{Arguments, Failed, Trial};
use meta_stats_conformance::attribution::attribute;
use meta_stats_conformance::runner::{CaseResult, Order, Runner, run_all};
use meta_stats_conformance::spec::{CaseRef, Level, Spec};
use meta_stats_conformance::target::{Addresses, Launcher, Server, Target};

/// A server in another language.
#[derive(Clone, Copy)]
struct Foreign {
    name: &'static str,
    /// The program that has to be there, and the argument with which it shows that it is.
    needs: [&'static str; 2],
    /// Makes what is run, in a directory for it.
    build: Option<&'static str>,
    /// `{source}` stands for the directory of the servers, `{built}` for that of what was made.
    run: &'static str,
}

const FOREIGN: [Foreign; 6] = [
    Foreign {
        name: "python-threads",
        needs: ["python3", "--version"],
        build: None,
        run: "python3 {source}/threads.py",
    },
    Foreign {
        name: "python-asyncio",
        needs: ["python3", "--version"],
        build: None,
        run: "python3 {source}/tasks.py",
    },
    Foreign {
        name: "node",
        needs: ["node", "--version"],
        build: None,
        run: "node {source}/server.js",
    },
    Foreign {
        name: "perl-fork",
        needs: ["perl", "--version"],
        build: None,
        run: "perl {source}/fork.pl",
    },
    Foreign {
        name: "java",
        needs: ["javac", "-version"],
        build: Some("javac -d {built} {source}/Server.java"),
        run: "java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp {built} Server",
    },
    Foreign {
        name: "c-poll",
        needs: ["cc", "--version"],
        build: Some("cc -O1 -o {built}/poll {source}/poll.c -lm"),
        run: "{built}/poll",
    },
];

const HABITS: Foreign = Foreign {
    name: "habits",
    needs: ["cc", "--version"],
    build: Some("cc -O1 -o {built}/habits {source}/habits.c -lm"),
    run: "{built}/habits",
};

/// Habits of public C programs, and the MUST clauses that each of them breaks.
const BLAMED: [(&str, &[&str]); 5] = [
    ("", &[]),
    ("one-read", &["line.pipelining", "line.segments"]),
    (
        "prefix-atof",
        &[
            "command.alone",
            "command.exact",
            "line.octets",
            "value.nothing-after",
            "value.zero",
        ],
    ),
    ("eof-flood", &["session.eof"]),
    ("text-pipe", &["meta.mean", "process.reaped"]),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for foreign in FOREIGN {
        if !foreign.is_possible() {
            continue;
        }
        let by = |how: &str| format!("{}::{how}", foreign.name);
        trials.push(Trial::test(by("exec"), move || {
            repeated(|| judge(Target::Launched(foreign.launcher("")?), &BTreeSet::new()))
        }));
        trials.push(Trial::test(by("address"), move || {
            repeated(|| at_an_address(&foreign.launcher("")?))
        }));
    }
    if HABITS.is_possible() {
        for (habit, blamed) in BLAMED {
            let name = format!("habit::{}", if habit.is_empty() { "none" } else { habit });
            let blamed = blamed.iter().map(|clause| (*clause).to_owned()).collect();
            trials.push(Trial::test(name, move || {
                repeated(|| judge(Target::Launched(HABITS.launcher(habit)?), &blamed))
            }));
        }
    }
    let dimensions = wordings();
    let each = std::env::var_os("META_STATS_EACH_WORDING").is_some();
    for option in dimensions.iter().flatten() {
        if option.breaks.is_none() && !each {
            continue;
        }
        let Wording { name, breaks } = option.clone();
        trials.push(Trial::test(format!("wording::{name}"), move || {
            repeated(|| wording(&["--wording", &name], breaks.as_deref()))
        }));
    }
    for (index, names) in covering(&dimensions).into_iter().enumerate() {
        trials.push(Trial::test(
            format!("wording::covering-{index}"),
            move || {
                let arguments: Vec<&str> =
                    names.iter().flat_map(|name| ["--wording", name]).collect();
                repeated(|| wording(&arguments, None))
            },
        ));
    }
    for seed in 0..from_environment("META_STATS_WORDINGS", 4) {
        trials.push(Trial::test(format!("wording::random-{seed}"), move || {
            repeated(|| wording(&["--random-wording", &seed.to_string()], None))
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn from_environment(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn repeated(test: impl Fn() -> Result<(), Failed>) -> Result<(), Failed> {
    (0..from_environment("META_STATS_REPEAT", 1)).try_for_each(|_| test())
}

impl Foreign {
    /// Whether the language is there; says so if it is not.
    fn is_possible(&self) -> bool {
        let [program, argument] = self.needs;
        let there = Command::new(program).arg(argument).output();
        let there = there.is_ok_and(|output| output.status.success());
        if !there {
            eprintln!("skipped: {}, because there is no {program} here", self.name);
        }
        there
    }

    /// Starts it with one more argument, after it was built.
    fn launcher(&self, argument: &str) -> Result<Launcher, Failed> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/servers");
        let built = built_in().join(self.name);
        let place = |command: &str| {
            command
                .replace("{source}", &source.display().to_string())
                .replace("{built}", &built.display().to_string())
        };
        if let Some(build) = self.build {
            static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
            let _guard = ONE_AT_A_TIME.lock();
            let done = built.join("done");
            if !done.exists() {
                std::fs::create_dir_all(&built)?;
                let output = Command::new("sh").args(["-c", &place(build)]).output()?;
                if !output.status.success() {
                    return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
                }
                std::fs::write(&done, "")?;
            }
        }
        let run = place(self.run);
        let command = format!("{run} {{port}} {{meta_port}} {argument}");
        Ok(Launcher::Template(command.trim_end().to_owned()))
    }
}

/// A directory of this run, for what is built.
fn built_in() -> &'static Path {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIRECTORY
        .get_or_init(|| tempfile::tempdir().expect("a directory"))
        .path()
}

/// The example server; `cargo test` builds examples first.
fn chameleon() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test has a path");
    path.pop();
    path.pop();
    path.join("examples")
        .join(format!("faulty-server{}", std::env::consts::EXE_SUFFIX))
}

/// An option of the example server.
#[derive(Clone, Debug)]
struct Wording {
    name: String,
    /// The clause that it breaks.
    breaks: Option<String>,
}

/// The wordings of the example server: of each dimension the options, of which one can be chosen.
fn wordings() -> Vec<Vec<Wording>> {
    let list = Command::new(chameleon())
        .arg("--list-wordings")
        .output()
        .expect("the example server starts");
    let list = String::from_utf8(list.stdout).expect("text");
    let option = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, breaks) = match words.as_slice() {
            [name, "allowed", ..] => (name, None),
            [name, "breaks", clause, ..] => (name, Some((*clause).to_owned())),
            _ => panic!("no wording: {line}"),
        };
        Wording {
            name: (*name).to_owned(),
            breaks,
        }
    };
    let dimensions = list.trim_end().split("\n\n");
    let dimensions: Vec<Vec<Wording>> = dimensions
        .map(|dimension| dimension.lines().map(option).collect())
        .collect();
    assert!(dimensions.len() > 10, "{dimensions:?}");
    dimensions
}

/// Few combinations in which every option that is allowed occurs.
fn covering(dimensions: &[Vec<Wording>]) -> Vec<Vec<String>> {
    let allowed: Vec<Vec<&Wording>> = dimensions
        .iter()
        .map(|options| options.iter().filter(|one| one.breaks.is_none()).collect())
        .collect();
    let most = allowed.iter().map(Vec::len).max().unwrap_or_default();
    let combination = |index: usize| {
        let options = allowed.iter().map(|options| options[index % options.len()]);
        options.map(|option| option.name.clone()).collect()
    };
    (0..most).map(combination).collect()
}

/// The example server in its own words: only the clause that they break is blamed.
fn wording(arguments: &[&str], breaks: Option<&str>) -> Result<(), Failed> {
    let arguments = ["{port}", "{meta_port}"]
        .into_iter()
        .chain(arguments.iter().copied());
    let launcher = Launcher::Announcing {
        name: "faulty-server".to_owned(),
        program: chameleon(),
        arguments: arguments.map(Into::into).collect(),
    };
    let spec = Spec::bundled();
    let level = |slug: &str| spec.clauses().find(|(_, clause)| clause.slug == slug);
    let (mut must, mut should) = (BTreeSet::new(), None);
    if let Some(slug) = breaks {
        match level(slug)
            .ok_or(format!("there is no clause {slug}"))?
            .1
            .level
        {
            Level::Must => _ = must.insert(slug.to_owned()),
            _ => should = Some(slug),
        }
    }
    let target = Target::Launched(launcher);
    // What is seen of its processes does not depend on its words.
    let in_words = |case: &CaseRef<'_>| case.chapter.name != "process";
    judge_cases(target.clone(), in_words, &must)?;
    let Some(slug) = should else { return Ok(()) };
    let results = results(&spec, target, |case| case.clause.slug == slug);
    match results.iter().any(|result| result.outcome.is_failure()) {
        true => Ok(()),
        false => Err(format!("{slug} is not blamed").into()),
    }
}

/// Starts the server once, and judges it as one that others use.
fn at_an_address(launcher: &Launcher) -> Result<(), Failed> {
    let server: Server = launcher.launch().map_err(|error| error.to_string())?;
    let addresses: Addresses = server.addresses;
    judge(Target::Running(addresses), &BTreeSet::new())
}

/// All MUST cases against a server: exactly these clauses are blamed.
fn judge(target: Target, blamed: &BTreeSet<String>) -> Result<(), Failed> {
    judge_cases(target, |_| true, blamed)
}

fn judge_cases(
    target: Target,
    wanted: impl Fn(&CaseRef<'_>) -> bool,
    blamed: &BTreeSet<String>,
) -> Result<(), Failed> {
    let spec = Spec::bundled();
    let is_wanted = |case: &CaseRef<'_>| case.clause.level == Level::Must && wanted(case);
    let results = results(&spec, target, is_wanted);
    let failed: Vec<_> = results
        .iter()
        .filter(|result| result.outcome.is_failure())
        .collect();
    let found: BTreeSet<String> = failed
        .iter()
        .map(|result| result.case.clause.slug.clone())
        .collect();
    if found == *blamed {
        return Ok(());
    }
    let mut message = format!("blamed {found:?}, expected {blamed:?}\n");
    for result in failed {
        let failure = result.failure.as_ref();
        message.push_str(&format!("{} {failure:?}\n", result.case.case.id));
    }
    Err(message.into())
}

fn results<'a>(
    spec: &'a Spec,
    target: Target,
    wanted: impl Fn(&CaseRef<'a>) -> bool,
) -> Vec<CaseResult<'a>> {
    let jobs = match target {
        // A few at a time: each of them starts programs, some of which are slow to start.
        Target::Launched(_) => 3,
        Target::Running(_) => 1,
    };
    let runner = Runner::reach(target, None, None).expect("the server can be reached");
    let cases: Vec<CaseRef<'a>> = spec.cases().filter(wanted).collect();
    let order = Order {
        jobs,
        seed: None,
        total_timeout: None,
    };
    let mut results = run_all(runner, &cases, &spec.data, &order, &|_| {});
    attribute(&mut results);
    results
}
