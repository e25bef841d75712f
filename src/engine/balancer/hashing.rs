//! Hash functions of the strategies that tie a client to an instance.
//!
//! They are public and unkeyed, as in the systems that use them, so that tables agree between processes and with those
//! systems. Whoever faces clients that choose their keys mixes a secret into the key first.

use crate::rng::mix;

/// The weyl constant of SplitMix64.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// 64-bit FNV-1a.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

/// One step of SplitMix64: its increment and finalizer.
#[inline]
pub fn splitmix(z: u64) -> u64 {
    mix(z.wrapping_add(GAMMA))
}

/// Rendezvous score of a hashed key for a hashed instance (Thaler, Ravishankar 1998); the highest wins.
#[inline]
pub fn rendezvous_score(key: u64, instance: u64) -> u64 {
    splitmix(key ^ instance)
}

/// Weighted rendezvous: `−weight / ln u` with u in (0, 1) from the score; the largest wins, in proportion to weights.
pub fn weighted_score(score: u64, weight: f64) -> f64 {
    let u = ((score >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -weight / libm::log(u)
}

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

/// xxHash64 (Collet, specification 0.1.1), which Envoy's rings and Maglev tables are built with.
pub fn xxhash64(bytes: &[u8], seed: u64) -> u64 {
    let word = |at: &[u8]| u64::from_le_bytes(at.try_into().expect("eight bytes"));
    let round = |lane: u64, input: u64| lane.wrapping_add(input.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1);
    let stripes = bytes.chunks_exact(32);
    let mut rest = stripes.remainder();
    let mut hash = if bytes.len() >= 32 {
        let mut lanes = [seed.wrapping_add(P1).wrapping_add(P2), seed.wrapping_add(P2), seed, seed.wrapping_sub(P1)];
        for stripe in stripes {
            for (lane, input) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
                *lane = round(*lane, word(input));
            }
        }
        let turns = [1, 7, 12, 18];
        let merged = lanes.iter().zip(turns).fold(0u64, |sum, (lane, turn)| sum.wrapping_add(lane.rotate_left(turn)));
        lanes.iter().fold(merged, |hash, &lane| (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4))
    } else {
        seed.wrapping_add(P5)
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    while let Some((eight, more)) = rest.split_at_checked(8) {
        hash = (hash ^ round(0, word(eight))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
        rest = more;
    }
    if let Some((four, more)) = rest.split_at_checked(4) {
        let input = u64::from(u32::from_le_bytes(four.try_into().expect("four bytes")));
        hash = (hash ^ input.wrapping_mul(P1)).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
        rest = more;
    }
    for &byte in rest {
        hash = (hash ^ u64::from(byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}

/// NGINX's `ip_hash` step over the octets that it looks at: three of an IPv4 address, sixteen of an IPv6 one.
#[inline]
pub fn nginx_ip_hash(seed: u32, octets: &[u8]) -> u32 {
    octets.iter().fold(seed, |hash, &octet| (hash * 113 + u32::from(octet)) % 6271)
}

/// Where `ip_hash` starts.
pub const NGINX_SEED: u32 = 89;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values_come_out() {
        assert_eq!([splitmix(0), splitmix(1)], [0xe220_a839_7b1d_cdaf, 0x910a_2dec_8902_5cc1], "LB-37");
        assert_eq!(
            [fnv1a(b""), fnv1a(b"a"), fnv1a(b"foobar")],
            [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8],
            "LB-38"
        );
        assert_eq!(fnv1a(b"192.0.2.1"), 0x714e_f6f9_d3c7_8218, "LB-39");
        // The test vectors of the reference implementation.
        assert_eq!(xxhash64(b"", 0), 0xef46_db37_51d8_e999);
        assert_eq!(xxhash64(b"a", 0), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxhash64(b"abc", 0), 0x44bc_2cf5_ad77_0999);
        assert_eq!(xxhash64(b"Nobody inspects the spammish repetition", 0), 0xfbce_a83c_8a37_8bf1);
    }

    fn best(key: &str, ids: &[&str]) -> usize {
        let score = |id: &str| rendezvous_score(fnv1a(key.as_bytes()), splitmix(fnv1a(id.as_bytes())));
        (0..ids.len()).rev().max_by_key(|&i| score(ids[i])).unwrap()
    }

    #[test]
    fn rendezvous_scores_are_the_worked_ones() {
        let scores = |key: &str| {
            ["a", "b", "c"].map(|id| rendezvous_score(fnv1a(key.as_bytes()), splitmix(fnv1a(id.as_bytes()))))
        };
        assert_eq!(
            scores("192.0.2.1"),
            [0xe1d2_214f_4b7f_cadd, 0x99eb_5b63_465c_4a0a, 0xf942_b21f_5c85_c26e],
            "LB-40"
        );
        assert_eq!(
            scores("10.0.0.1"),
            [0x1c13_9c9b_1ed0_4976, 0xed4f_115e_89c7_fd7d, 0x5970_e95f_ed97_5cbd],
            "LB-41"
        );
        assert_eq!([best("192.0.2.2", &["a", "b", "c"]), best("203.0.113.7", &["a", "b", "c"])], [0, 0], "LB-42");
        for (score, weight, expected) in scores("192.0.2.1")
            .into_iter()
            .zip([1.0, 2.0, 1.0])
            .zip([7.972_219, 3.931_215, 37.482_963])
            .map(|((score, weight), expected)| (score, weight, expected))
        {
            assert!((weighted_score(score, weight) - expected).abs() < 1e-6, "LB-44");
        }
    }

    #[test]
    fn removing_one_of_five_moves_its_keys_and_no_other() {
        let five = ["a", "b", "c", "d", "e"];
        let four = ["a", "b", "d", "e"];
        let mut counts = [0; 5];
        for i in 0..100_000 {
            let key = format!("k{i}");
            let owner = best(&key, &five);
            counts[owner] += 1;
            let after = four[best(&key, &four)];
            assert!(five[owner] == "c" || after == five[owner], "LB-43 {key}");
        }
        assert_eq!(counts, [19792, 20184, 20057, 19876, 20091], "LB-43");
    }

    #[test]
    fn nginx_hashes_a_network_to_one_peer() {
        // Peer by walking weights, as NGINX does.
        let peer = |hash: u32, weights: [u32; 3]| {
            let mut w = hash % weights.iter().sum::<u32>();
            weights.iter().position(|&weight| {
                let here = w < weight;
                w = w.wrapping_sub(weight);
                here
            })
        };
        for (id, octets, hash, equal, unequal) in [
            ("LB-32", [192, 0, 2], 6255, 0, 0),
            ("LB-33", [10, 1, 2], 2680, 1, 0),
            ("LB-34", [192, 168, 1], 154, 1, 2),
            ("LB-35", [8, 8, 8], 3023, 2, 1),
            ("LB-36", [10, 0, 4], 2569, 1, 2),
        ] {
            let found = nginx_ip_hash(NGINX_SEED, &octets);
            assert_eq!(found, hash, "{id}");
            assert_eq!((peer(found, [1, 1, 1]), peer(found, [3, 1, 1])), (Some(equal), Some(unequal)), "{id}");
        }
    }
}
