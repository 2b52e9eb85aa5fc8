//! The same filter in fewer instructions.
//!
//! The kernel translates the filter of a session anew for each of them, in time that grows with its
//! length. `seccompiler` spends five instructions on a system call where one does.

use nix::libc::{BPF_JA, BPF_JMP, BPF_RET};
use seccompiler::{BpfProgram, sock_filter};

const CLASS: u16 = 0x07;
const JUMP: u16 = (BPF_JMP | BPF_JA) as u16;
/// A jump of two ways has its offsets in octets.
const FURTHEST: usize = u8::MAX as usize;

/// Lets each jump lead to where it ends up, all that return the same share one instruction, and
/// leaves out what is then never reached. Jumps lead forward only, as the kernel demands.
pub(super) fn shorten(mut program: BpfProgram) -> BpfProgram {
    for at in (0..program.len()).rev() {
        let next = at + 1;
        let instruction = program[at].clone();
        if is_two_way(&instruction) {
            let end = |offset: u8| {
                let nearest = next + usize::from(offset);
                u8::try_from(destination(&program, nearest, next + FURTHEST) - next)
            };
            let ends = (end(instruction.jt), end(instruction.jf));
            if let (Ok(jt), Ok(jf)) = ends {
                (program[at].jt, program[at].jf) = (jt, jf);
            }
        }
    }
    let reached = reached(&program);
    // How many instructions are kept in front of each.
    let kept: Vec<usize> = reached
        .iter()
        .scan(0, |kept, &is_reached| {
            let before = *kept;
            *kept += usize::from(is_reached);
            Some(before)
        })
        .collect();
    let shift = |at: usize, offset: usize| kept[at + 1 + offset] - kept[at + 1];
    let moved = |(at, mut instruction): (usize, sock_filter)| {
        if instruction.code == JUMP {
            instruction.k = shift(at, instruction.k as usize) as u32;
        } else if is_two_way(&instruction) {
            instruction.jt = shift(at, instruction.jt.into()) as u8;
            instruction.jf = shift(at, instruction.jf.into()) as u8;
        }
        instruction
    };
    let numbered = program.into_iter().enumerate();
    numbered.filter(|&(at, _)| reached[at]).map(moved).collect()
}

fn class(instruction: &sock_filter) -> u32 {
    (instruction.code & CLASS).into()
}

fn is_two_way(instruction: &sock_filter) -> bool {
    class(instruction) == BPF_JMP && instruction.code != JUMP
}

/// Where a jump to `at` may lead instead, up to `furthest`.
fn destination(program: &[sock_filter], mut at: usize, furthest: usize) -> usize {
    while program[at].code == JUMP {
        at += 1 + program[at].k as usize;
    }
    if class(&program[at]) == BPF_RET {
        let last = program.len().min(furthest + 1);
        let same = program[at..last]
            .iter()
            .rposition(|other| *other == program[at]);
        at += same.unwrap_or_default();
    }
    at
}

fn reached(program: &[sock_filter]) -> Vec<bool> {
    let mut reached = vec![false; program.len()];
    reached[0] = true;
    for (at, instruction) in program.iter().enumerate() {
        if !reached[at] {
            continue;
        }
        let next = at + 1;
        if instruction.code == JUMP {
            reached[next + instruction.k as usize] = true;
        } else if is_two_way(instruction) {
            reached[next + usize::from(instruction.jt)] = true;
            reached[next + usize::from(instruction.jf)] = true;
        } else if class(instruction) != BPF_RET {
            reached[next] = true;
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use std::env::consts::ARCH;

    use nix::libc::{
        BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_K, BPF_LD, BPF_W, seccomp_data,
    };
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use seccompiler::{
        SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch,
    };

    use super::*;

    /// What the kernel makes of it.
    fn evaluate(program: &[sock_filter], call: &seccomp_data) -> u32 {
        let words = |value: u64| [value as u32, (value >> 32) as u32];
        let mut data = vec![call.nr.cast_unsigned(), call.arch];
        data.extend(words(call.instruction_pointer));
        data.extend(call.args.iter().flat_map(|&argument| words(argument)));

        let mut accumulator = 0;
        let mut at = 0;
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            let code = u32::from(code);
            at += 1;
            match class(&program[at - 1]) {
                BPF_LD if code == BPF_LD | BPF_W | BPF_ABS => accumulator = data[k as usize / 4],
                BPF_ALU if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= k,
                BPF_RET => return k,
                BPF_JMP if code == BPF_JMP | BPF_JA => at += k as usize,
                BPF_JMP => {
                    let holds = match code & 0xf0 {
                        BPF_JEQ => accumulator == k,
                        BPF_JGT => accumulator > k,
                        BPF_JGE => accumulator >= k,
                        other => panic!("comparison {other:#x}"),
                    };
                    at += usize::from(if holds { jt } else { jf });
                }
                _ => panic!("instruction {code:#x}"),
            }
        }
    }

    fn condition() -> impl Strategy<Value = SeccompCondition> {
        let length = prop_oneof![Just(SeccompCmpArgLen::Dword), Just(SeccompCmpArgLen::Qword)];
        let operator = prop_oneof![
            Just(SeccompCmpOp::Eq),
            Just(SeccompCmpOp::Ge),
            Just(SeccompCmpOp::Lt),
            Just(SeccompCmpOp::Ne),
            Just(SeccompCmpOp::MaskedEq(4)),
        ];
        (0u8..6, length, operator, 0u64..6).prop_map(|(argument, length, operator, value)| {
            SeccompCondition::new(argument, length, operator, value).expect("six arguments")
        })
    }

    fn rule() -> impl Strategy<Value = SeccompRule> {
        vec(condition(), 1..3)
            .prop_map(|conditions| SeccompRule::new(conditions).expect("conditions"))
    }

    fn filter(calls: impl IntoIterator<Item = (i64, Vec<SeccompRule>)>) -> BpfProgram {
        let architecture = TargetArch::try_from(ARCH).expect("an architecture with a sandbox");
        let [kill, allow] = [SeccompAction::KillProcess, SeccompAction::Allow];
        let filter = SeccompFilter::new(calls.into_iter().collect(), kill, allow, architecture);
        let program = filter.and_then(TryInto::try_into);
        program.expect("a filter")
    }

    #[test]
    fn a_call_takes_one_instruction() {
        let long = filter((0..20).map(|call| (2 * call, vec![])));
        let short = shorten(long.clone());
        assert!(long.len() > 5 * 20);
        // The architecture is looked at, the number is loaded, and there are two ways to return.
        assert!(
            short.len() <= 20 + 3 + 1 + 2,
            "{} instructions",
            short.len()
        );
    }

    proptest! {
        #[test]
        fn the_filter_stays_the_same(
            rules in btree_map(0i64..40, vec(rule(), 0..3), 0..40),
            calls in vec((0..42, any::<[bool; 2]>(), any::<[u8; 6]>()), 100),
        ) {
            let long = filter(rules);
            let short = shorten(long.clone());
            prop_assert!(short.len() <= long.len());
            let native = long[1].k;
            for (nr, [is_native, is_wide], arguments) in calls {
                let call = seccomp_data {
                    nr,
                    arch: if is_native { native } else { native ^ 1 },
                    instruction_pointer: 0,
                    args: arguments.map(|octet| {
                        let low = u64::from(octet) % 8;
                        if is_wide { low | 1 << 32 } else { low }
                    }),
                };
                prop_assert_eq!(evaluate(&short, &call), evaluate(&long, &call));
            }
        }
    }
}
