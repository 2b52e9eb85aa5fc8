//! Whatever passes through the recorder, the chapter that it writes has no mistake.

use meta_stats_conformance::lint::lint;
use meta_stats_conformance::record::{Event, Scribe, What};
use meta_stats_conformance::spec::Spec;
use meta_stats_conformance::transcript::Port;
use proptest::prelude::*;

/// What may happen on one of three connections, the last of them to the secondary port.
fn happenings() -> impl Strategy<Value = Vec<(usize, What)>> {
    let sent = prop_oneof![
        Just("count\n".to_owned()),
        Just("exit\n".to_owned()),
        Just("mean\nstddev\n".to_owned()),
        Just(format!("{}1\n", "0".repeat(90))),
        "-?[0-9]{1,3}\n",
        "[ #\"\\\\`a-z\t\n]{0,12}\n?",
        "\\PC{0,6}\n",
    ];
    let received = prop_oneof![
        Just("0\n".to_owned()),
        Just("nan\n".to_owned()),
        Just("Error: no\n".to_owned()),
        Just("Stats server ready\n".to_owned()),
        Just("EXIT STATS: count 1 mean 5 stddev nan\n".to_owned()),
        Just("means_count 1 mean_of_means 5 stddev_of_means nan\n".to_owned()),
        "[ #\"\\\\`{}@<>a-z0-9\r]{0,12}\n?",
    ];
    let what = prop_oneof![
        6 => sent.prop_map(|text| What::Sent(text.into_bytes())),
        6 => received.prop_map(|text| What::Received(text.into_bytes())),
        1 => Just(What::ClientEnded),
        1 => Just(What::ServerEnded),
        1 => prop::collection::vec(any::<u8>(), 0..8).prop_map(What::Sent),
        1 => Just(What::ClientReset),
        1 => Just(What::ServerReset),
        1 => Just(What::Closed),
    ];
    prop::collection::vec((0..3_usize, what), 0..40)
}

proptest! {
    #[test]
    fn every_recording_is_a_sound_specification(happenings in happenings()) {
        let mut scribe = Scribe::default();
        let mut opened = [false; 3];
        for (connection, what) in happenings {
            if !std::mem::replace(&mut opened[connection], true) {
                let port = if connection == 2 { Port::Secondary } else { Port::Primary };
                scribe.note(Event { connection, what: What::Opened(port) });
            }
            scribe.note(Event { connection, what });
        }
        let chapter = scribe.chapter("127.0.0.1:3100");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("recorded.md"), &chapter).expect("it is written");
        let spec = Spec::from_directory(directory.path()).expect("it is readable");
        let findings: Vec<_> = lint(&spec)
            .iter()
            .map(|finding| format!("{}:{} {} ({})", finding.line, finding.column, finding.message, finding.allowed))
            .collect();
        prop_assert!(findings.is_empty(), "{findings:#?} in\n{chapter}");
        prop_assert_eq!(spec.cases().count(), 1, "{}", chapter);
    }
}
