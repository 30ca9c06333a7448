//! What a lenient reader may take a character for.
//!
//! Programs between the wire and a handler change characters: code pages of Windows replace what they lack by what
//! looks best, Unicode folds full-width forms, ligatures and case together (UAX #15, UAX #21), file systems do not see
//! zero-width characters. Where a name must not slip by in such a form, it is compared with what comes out here.

/// The ASCII for which somebody may take `character`, in lower case: empty when somebody may not see it at all, `None`
/// when nobody takes it for any ASCII character. Best-fit conversions are those of Windows's code pages 874 and 1250 to
/// 1258.
#[must_use]
pub fn ascii(character: char) -> Option<&'static [u8]> {
    let code = u32::from(character);
    match character {
        '\0'..='\u{7f}' => Some(one(character.to_ascii_lowercase())),
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{300}'..='\u{330}' | '\u{333}'..='\u{36f}' => Some(b""),
        character if is_unseen(character) => Some(b""),
        '\u{df}' | '\u{1e9e}' => Some(b"ss"),
        '\u{132}' | '\u{133}' => Some(b"ij"),
        '\u{1c4}'..='\u{1c6}' | '\u{1f1}'..='\u{1f3}' => Some(b"dz"),
        '\u{1c7}'..='\u{1c9}' => Some(b"lj"),
        '\u{1ca}'..='\u{1cc}' => Some(b"nj"),
        '\u{33c4}' => Some(b"cc"),
        '\u{fb00}' => Some(b"ff"),
        '\u{fb01}' => Some(b"fi"),
        '\u{fb02}' => Some(b"fl"),
        '\u{fb03}' => Some(b"ffi"),
        '\u{fb04}' => Some(b"ffl"),
        '\u{fb05}' | '\u{fb06}' => Some(b"st"),
        // The mathematical alphabets, one after the other.
        '\u{1d400}'..='\u{1d6a3}' => Some(one(char::from(b'a' + least(code - 0x1d400, 26)))),
        '\u{1d7ce}'..='\u{1d7ff}' => Some(one(char::from(b'0' + least(code - 0x1d7ce, 10)))),
        '\u{1fbf0}'..='\u{1fbf9}' => Some(one(char::from(b'0' + least(code - 0x1fbf0, 10)))),
        character => in_a_block(code).or_else(|| alone(character)),
    }
}

/// Zero-width characters, marks of direction and the like. HFS+ compares names without them, and programs strip them.
#[must_use]
pub const fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// True for characters that somebody may take for what divides or ends a path: `/ \ . ; % ? #`, whole or within what
/// they are composed of, and for blanks that are not the ASCII one.
#[must_use]
pub const fn reads_as_structure(character: char) -> bool {
    let is_odd_blank = !character.is_ascii() && (character.is_whitespace() || matches!(character, '\u{80}'..='\u{9f}'));
    is_odd_blank
        || matches!(
            character,
            '\u{37e}'
                | '\u{66a}'
                | '\u{2024}'..='\u{2026}'
                | '\u{2044}'
                | '\u{2047}'..='\u{2049}'
                | '\u{2100}'
                | '\u{2101}'
                | '\u{2105}'
                | '\u{2106}'
                | '\u{2215}'
                | '\u{2216}'
                | '\u{2488}'..='\u{249b}'
                | '\u{29f5}'
                | '\u{29f8}'
                | '\u{29f9}'
                | '\u{33c2}'
                | '\u{33c7}'
                | '\u{33d8}'
                | '\u{fe14}'
                | '\u{fe16}'
                | '\u{fe19}'
                | '\u{fe30}'
                | '\u{fe50}'..='\u{fe6b}'
                | '\u{ff01}'..='\u{ff5e}'
                | '\u{ff61}'
                | '\u{1f100}'
        )
}

/// All of ASCII, to borrow one of them from.
static ASCII: [u8; 128] = {
    let mut all = [0; 128];
    let mut at = 0;
    while at < 128 {
        all[at as usize] = at;
        at += 1;
    }
    all
};

fn one(character: char) -> &'static [u8] {
    let at = usize::from(u8::try_from(character).unwrap_or(0) & 0x7f);
    &ASCII[at..=at]
}

/// `number` in a cycle of `length`, which is small.
fn least(number: u32, length: u32) -> u8 {
    u8::try_from(number % length).unwrap_or(0)
}

/// Where a block of characters starts, and what each of them may be taken for; `~` is nothing.
const BLOCKS: [(u32, &[u8]); 12] = [
    (
        0x00a0,
        b" ~cl~y~~ ~a~~~~ ~~23~~~~ 1o~113~aaaaaaaceeeeiiii~nooooo~ouuuuy~~aaaaaaaceeeeiiii~nooooo~ouuuuy~yaaaa\
          aaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii~~jjkk~llllll~~llnnnnnn~~~oooooooorrrrrrsssssssstttttt\
          uuuuuuuuuuuuwwyyyzzzzzzsb~~~~~~~~d~~~~~~~ff~~~~i~~l~~~~ooo~~~~~~~~~t~~tuu~~~~~z~~~~~~~~~~~~~~~~~~~~~\
          ~aaiioouuuuuuuuuu~aaaa~~ggggkkoooo~~j~~~gg~~nnaa~~~~aaaaeeeeiiiioooorrrruuuusstt~~hh~~~~~~aaeeoooooo\
          ooyy",
    ),
    (
        0x0250,
        b"~~~~~~~~~~~~~~~~~g~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~h~jr\
          ~~~wy~~~~~~~~~~~~~~~~~~~~_~~~~~~~~~~      ~~~lsx",
    ),
    (0x1d2c, b"a~b~de~ghijklmn~o~prtuwa~~~bde~~~g~km~o~~~ptu~~v~~~~~~iruv"),
    (0x1d9c, b"c~~~f~~~~~~~~~~~~~~~~~~~~~~~~~~z"),
    (
        0x1e00,
        b"aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrrssss\
          ssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy~s~~~~aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeee\
          iiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy",
    ),
    (
        0x2000,
        b"           ~~~~~--~~~~~=~~~~~~~~~~~~.~~~~~~~~~~ ~~~~~~~~~~~~~~ ~~~~~/~~~~~~~~~~~~~~~~~~~~~~~~~~ ~~~~\
          ~~~~~~~~~~~~0i~~456789~~=~~n0123456789~~=~~~aeox~hklmnpst~~~~~~~~~~p",
    ),
    (0x2100, b"~~c~~~~e~~ghhhh~iill~n~~ppqrrr~~~~~~z~~~z~kabceeef~mo~~~~i~~~~~~~~~~~ddeij"),
    (0x2160, b"i~~~v~~~~x~~lcdmi~~~v~~~~x~~lcdm"),
    (
        0x2460,
        b"123456789~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~abcdefghijklmn\
          opqrstuvwxyzabcdefghijklmnopqrstuvwxyz0",
    ),
    (0xfe10, b"~~~~;~?~~~~~~~~~~~~~~~~~~~~~~~~~~~~__~~~~~~~~~~~~~~~~~~[~    ___~~.~;~?~~~~~~~~#&~~-~~=~\\~%"),
    (0xff00, b"~~~#~%&~~~~~~-./0123456789~;~=~?~abcdefghijklmnopqrstuvwxyz[\\~~_~abcdefghijklmnopqrstuvwxyz"),
    (0x1f100, b"~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~cr~~~abcdefghijklmnopqrstuvwxyz"),
];

fn in_a_block(code: u32) -> Option<&'static [u8]> {
    let (start, block) = BLOCKS.iter().rev().find(|(start, _)| *start <= code)?;
    let at = usize::try_from(code - start).ok()?;
    block.get(at..=at).filter(|found| *found != b"~")
}

/// Those that stand alone.
fn alone(character: char) -> Option<&'static [u8]> {
    Some(match character {
        '\u{37a}'
        | '\u{384}'
        | '\u{385}'
        | '\u{1fbd}'
        | '\u{1fbf}'..='\u{1fc1}'
        | '\u{1fcd}'..='\u{1fcf}'
        | '\u{1fdd}'..='\u{1fdf}'
        | '\u{1fed}'
        | '\u{1fee}'
        | '\u{1ffd}'
        | '\u{1ffe}'
        | '\u{3000}'
        | '\u{309b}'
        | '\u{309c}'
        | '\u{ffe3}' => b" ",
        '\u{66a}' => b"%",
        '\u{2194}' | '\u{2212}' | '\u{2500}' | '\u{2502}' | '\u{2550}' | '\u{25ac}' => b"-",
        '\u{2215}' => b"/",
        '\u{25cb}' | '\u{25d9}' | '\u{263c}' => b"0",
        '\u{221e}' => b"8",
        '\u{37e}' => b";",
        '\u{2260}' | '\u{2261}' | '\u{301b}' => b"=",
        '\u{301a}' => b"[",
        '\u{2216}' => b"\\",
        '\u{331}' | '\u{332}' | '\u{2584}' => b"_",
        '\u{3b1}' => b"a",
        '\u{a7f2}' => b"c",
        '\u{3b4}' | '\u{266a}' | '\u{266b}' => b"d",
        '\u{3b5}' => b"e",
        '\u{3a6}' | '\u{3c6}' | '\u{a7f3}' => b"f",
        '\u{393}' => b"g",
        '\u{4bb}' => b"h",
        '\u{2c7c}' => b"j",
        '\u{221f}' | '\u{2514}' | '\u{2558}'..='\u{255a}' => b"l",
        '\u{2229}' => b"n",
        '\u{3a9}' | '\u{263a}' | '\u{263b}' => b"o",
        '\u{3c0}' => b"p",
        '\u{a7f4}' | '\u{107a5}' => b"q",
        '\u{3a3}' | '\u{3c3}' => b"s",
        '\u{398}' | '\u{3c4}' | '\u{252c}' | '\u{2564}'..='\u{2566}' => b"t",
        '\u{2193}' | '\u{221a}' | '\u{2c7d}' => b"v",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(text: &str) -> String {
        let bytes: Vec<u8> = text.chars().flat_map(|c| ascii(c).unwrap_or(b"?")).copied().collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn letters_in_other_clothes() {
        for (text, expected) in [
            ("API_Key-9.", "api_key-9."),
            ("\u{17f}ecret", "secret"),
            ("\u{212a}ey", "key"),
            ("log\u{131}n log\u{130}n", "login login"),
            ("\u{ff21}\u{ff50}\u{ff29}\u{ff3f}\u{ff4b}\u{ff45}\u{ff59}", "api_key"),
            ("\u{101}p\u{12b}", "api"),
            ("\u{142}ogin", "login"),
            ("\u{1d568}\u{1d7d9}\u{24d0}\u{1f130}", "w1aa"),
            ("a\u{200d}b\u{feff}c\u{301}", "abc"),
            ("acce\u{df}, \u{fb06}ock", "access, stock"),
            ("\u{2010}\u{2212}\u{fe33}\u{a0}", "--_ "),
            ("\u{e9}\u{fe}\u{4e2d}", "e??"),
        ] {
            assert_eq!(taken(text), expected, "{text}");
        }
    }

    #[test]
    fn blocks_stand_in_order_and_apart() {
        for pair in BLOCKS.windows(2) {
            let [(start, block), (next, _)] = pair else { unreachable!() };
            assert!(*start + u32::try_from(block.len()).unwrap() <= *next, "{start:x}");
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_is_lower_case_ascii(character in any::<char>()) {
            let reading = ascii(character).unwrap_or_default();
            prop_assert!(reading.iter().all(|b| b.is_ascii() && !b.is_ascii_uppercase()));
            // Whoever lowers the case first reads the same letter.
            if reading.first().is_some_and(u8::is_ascii_alphabetic) && character.to_lowercase().count() == 1 {
                let lower = character.to_lowercase().next().unwrap();
                prop_assert!(ascii(lower).is_none_or(|lower| lower == reading), "{character:?}");
            }
        }
    }
}
