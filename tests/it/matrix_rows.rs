//! The command lines of the matrix, and those that end differently on purpose.

/// One command line a row: `NAME=value… words… [< FILE-or-text]`. `{A}` and `{B}` are recipients with a key, `{C}` is
/// one without.
pub(crate) const ROWS: &str = r##"
# decrypt
decrypt p.yaml
decrypt ./p.yaml
decrypt < p.yaml
decrypt --input-type yaml --output-type yaml < p.yaml
decrypt --filename-override x.yaml < p.yaml
decrypt -i p.yaml
decrypt --in-place p.yaml
decrypt p.yaml -i
decrypt p.yaml --in-place=true
decrypt p.yaml --in-place=false
decrypt p.yaml --in-place false
decrypt -i=maybe p.yaml
decrypt -i --in-place p.yaml
decrypt --output out p.yaml
decrypt --output=out p.yaml
decrypt -output out p.yaml
decrypt p.yaml --output out
decrypt --output no/such/folder p.yaml
decrypt --output sub p.yaml
decrypt --output out -i p.yaml
decrypt --output
decrypt -i
decrypt p.yaml extra
decrypt p.yaml extra -x
decrypt p.yaml -x
decrypt -x p.yaml
decrypt -- p.yaml
decrypt -
decrypt no.yaml
decrypt no.yaml -i
decrypt sub
decrypt plain.yaml
decrypt empty.yaml
decrypt broken.yaml
decrypt list.yaml
decrypt tampered.yaml
decrypt --ignore-mac tampered.yaml
decrypt --ignore-mac=true tampered.yaml
decrypt --ignore-mac=0 tampered.yaml
decrypt --ignore-mac=x tampered.yaml
decrypt nomac.yaml
decrypt --ignore-mac nomac.yaml
decrypt noversion.yaml
decrypt nokeys.yaml
decrypt old.yaml
decrypt damaged.yaml
decrypt other.yaml
decrypt shamir.yaml
decrypt two.yaml
decrypt regex.yaml
decrypt maconly.yaml
decrypt documents.yaml
decrypt sopskey.yaml
decrypt --decryption-order age p.yaml
decrypt --decryption-order pgp,age p.yaml
decrypt --decryption-order age,age p.yaml
decrypt --decryption-order x p.yaml
SOPS_DECRYPTION_ORDER=age,age decrypt p.yaml
SOPS_DECRYPTION_ORDER= decrypt p.yaml
decrypt --enable-local-keyservice p.yaml
decrypt --enable-local-keyservice=false p.yaml
SOPS_ENABLE_LOCAL_KEYSERVICE=false decrypt p.yaml
SOPS_ENABLE_LOCAL_KEYSERVICE=nonsense decrypt p.yaml
SOPS_ENABLE_LOCAL_KEYSERVICE= decrypt p.yaml
SOPS_AGE_KEY_FILE=UNSET decrypt p.yaml
SOPS_AGE_KEY_FILE=no/such decrypt p.yaml
SOPS_AGE_KEY_FILE= decrypt p.yaml
SOPS_AGE_KEY=nonsense decrypt p.yaml
decrypt --input-type nonsense p.yaml
decrypt --input-type yaml p.yaml
decrypt --indent 2 p.yaml
--indent 2 decrypt p.yaml
--indent 8 decrypt p.yaml
--indent x decrypt p.yaml
--config alt.yaml decrypt p.yaml
--config no.yaml decrypt p.yaml
--config broken-config.yaml decrypt p.yaml
--config no-rules.yaml decrypt p.yaml
SOPS_CONFIG=broken-config.yaml decrypt p.yaml
SOPS_CONFIG=alt.yaml decrypt p.yaml
decrypt --config alt.yaml p.yaml
decrypt p.yaml --config alt.yaml
--verbose decrypt p.yaml
decrypt --verbose p.yaml
--input-type json decrypt p.yaml
decrypt --extract '["name"]' p.yaml
decrypt p.yaml --extract '["name"]'
decrypt --extract '["port"]' p.yaml
decrypt --extract '["ratio"]' p.yaml
decrypt --extract '["debug"]' p.yaml
decrypt --extract '["nothing"]' p.yaml
decrypt --extract '["list"]' p.yaml
decrypt --extract '["list"][1]' p.yaml
decrypt --extract '["list"][9]' p.yaml
decrypt --extract '["list"][x]' p.yaml
decrypt --extract '["nested"]' p.yaml
decrypt --extract '["nested"]["deep"]' p.yaml
decrypt --extract "['nested']['deep']" p.yaml
decrypt --extract '["nope"]' p.yaml
decrypt --extract '["name"' p.yaml
decrypt --extract 'name' p.yaml
decrypt --extract '' p.yaml
decrypt --extract '["a"]' documents.yaml
decrypt --extract '["name"]' -i p.yaml
decrypt --extract '["name"]' --output out p.yaml
decrypt --extract '["nested"]' --output-type yaml p.yaml
decrypt --help
decrypt -h
decrypt --output-type json p.yaml
decrypt --output-type dotenv p.yaml
decrypt --output-type dotenv flat.yaml
decrypt --output-type ini p.yaml
decrypt --output-type binary p.yaml
decrypt p.json
decrypt p.env
decrypt p.ini
decrypt p.bin
decrypt -i p.json
decrypt -i p.env
decrypt --output-type yaml p.json
decrypt --output-type yaml p.env
decrypt --output-type yaml p.ini
decrypt --output-type json p.bin
decrypt --input-type json p.yaml
decrypt noending
decrypt --input-type yaml noending
decrypt --input-type yaml --output-type yaml noending
decrypt broken.json
decrypt broken.env
decrypt plain.json
decrypt plain.env
decrypt plain.ini
decrypt plain.bin
decrypt --extract '["list"]' p.json
decrypt --extract '["list"][0]' p.json
decrypt --extract '["name"]' p.env
decrypt --extract '["section"]["name"]' p.ini

# encrypt
encrypt plain.yaml
encrypt -i plain.yaml
encrypt plain.yaml -i
encrypt --output out plain.yaml
encrypt --output out -i plain.yaml
encrypt -i
encrypt < plain.yaml
encrypt --filename-override plain.yaml < plain.yaml
encrypt --filename-override z.yaml < plain.yaml
encrypt --filename-override regex.yaml plain.yaml
encrypt --filename-override plain.yaml z.yaml
encrypt --filename-override other.yaml -i z.yaml
encrypt z.yaml
encrypt --age {A} z.yaml
encrypt -a {A} plain.yaml
encrypt -age {A} plain.yaml
encrypt --age {A},{B} plain.yaml
encrypt --age '{A}, {B}' plain.yaml
encrypt --age {C} plain.yaml
encrypt --age nonsense plain.yaml
encrypt --age '' plain.yaml
encrypt -a {A} --age {B} plain.yaml
encrypt --age {A} --age {B} plain.yaml
SOPS_AGE_RECIPIENTS={B} encrypt plain.yaml
SOPS_AGE_RECIPIENTS={B} encrypt --age {A} plain.yaml
SOPS_AGE_RECIPIENTS= encrypt plain.yaml
encrypt --pgp nonsense plain.yaml
encrypt regex-plain.yaml
encrypt --encrypted-regex '^name$' plain.yaml
encrypt --unencrypted-regex '^name$' plain.yaml
encrypt --encrypted-suffix e plain.yaml
encrypt --unencrypted-suffix e plain.yaml
encrypt --encrypted-regex a --encrypted-suffix b plain.yaml
encrypt --encrypted-suffix b regex-plain.yaml
encrypt --encrypted-regex port regex-plain.yaml
encrypt --encrypted-regex '(' plain.yaml
encrypt --unencrypted-comment-regex x plain.yaml
encrypt --filename-override twosel.yaml plain.yaml
encrypt --filename-override nokeys.yaml plain.yaml
encrypt --filename-override maconly.yaml plain.yaml
encrypt --filename-override shamir.yaml plain.yaml
encrypt --shamir-secret-sharing-threshold 2 --filename-override shamir.yaml plain.yaml
encrypt --shamir-secret-sharing-threshold 3 --filename-override shamir.yaml plain.yaml
encrypt --shamir-secret-sharing-threshold x plain.yaml
encrypt --shamir-secret-sharing-threshold 1 plain.yaml
--mac-only-encrypted encrypt plain.yaml
encrypt --mac-only-encrypted plain.yaml
--indent 2 encrypt plain.yaml
--config alt.yaml encrypt plain.yaml
--config no.yaml encrypt plain.yaml
--config no-rules.yaml encrypt plain.yaml
--config no-rules.yaml encrypt --age {A} plain.yaml
--config broken-config.yaml encrypt plain.yaml
SOPS_CONFIG=alt.yaml encrypt plain.yaml
encrypt sub/plain.yaml
encrypt p.yaml
encrypt sopskey.yaml
encrypt empty.yaml
encrypt broken.yaml
encrypt list.yaml
encrypt keys.yaml
encrypt documents-plain.yaml
encrypt no.yaml
encrypt sub
encrypt plain.yaml extra
encrypt -x plain.yaml
encrypt --encryption-context nonsense plain.yaml
encrypt --encryption-context a:b plain.yaml
encrypt --enable-local-keyservice=false plain.yaml
encrypt --ignore-mac plain.yaml
encrypt --help
encrypt plain.json
encrypt plain.env
encrypt plain.ini
encrypt plain.bin
encrypt -i plain.json
encrypt --output-type json plain.yaml
encrypt --output-type yaml plain.json
encrypt --output-type binary plain.yaml
encrypt --input-type json plain.bin
encrypt --encrypted-regex '^name$' plain.json
encrypt --encrypted-regex '^name$' plain.env
encrypt --encrypted-regex '^name$' plain.bin
encrypt broken.json
encrypt broken.env

# edit
edit p.yaml
EDITOR=./ed-append edit p.yaml
EDITOR=./ed-change edit p.yaml
SOPS_EDITOR=./ed-append EDITOR=./ed-fail edit p.yaml
SOPS_EDITOR= EDITOR=./ed-append edit p.yaml
EDITOR='sh ./ed-append' edit p.yaml
EDITOR="sh -c 'echo \"added: 1\" >> \"$0\"'" edit p.yaml
EDITOR="'unclosed" edit p.yaml
EDITOR=no-such-editor edit p.yaml
EDITOR=./ed-fail edit p.yaml
EDITOR=./ed-mend edit p.yaml < enter
EDITOR=./ed-see edit p.yaml
EDITOR=./ed-see edit new.yaml
EDITOR=./ed-append edit z.new.yaml
EDITOR=./ed-append edit --age {A} z.new.yaml
EDITOR=./ed-append edit --age {C} new.yaml
EDITOR=./ed-append edit old.yaml
EDITOR=./ed-append edit shamir.yaml
EDITOR=./ed-append edit regex.yaml
EDITOR=./ed-append edit documents.yaml
EDITOR=./ed-append edit tampered.yaml
EDITOR=./ed-append edit --ignore-mac tampered.yaml
EDITOR=./ed-append edit other.yaml
EDITOR=./ed-append edit plain.yaml
EDITOR=./ed-append edit broken.yaml
EDITOR=./ed-append edit --show-master-keys p.yaml
edit -s p.yaml
edit -s new.yaml
edit new.yaml
edit no/such/new.yaml
edit
edit p.yaml extra
edit -x p.yaml
edit --help
edit sub
EDITOR=./ed-change edit --output-type json p.yaml
EDITOR=./ed-append edit p.json
EDITOR=./ed-change edit p.json
EDITOR=./ed-change edit p.env
EDITOR=./ed-change edit p.ini
EDITOR=./ed-append edit p.bin
EDITOR=./ed-see edit new.json
EDITOR=./ed-look edit new.env
EDITOR=./ed-look edit new.ini
EDITOR=./ed-look edit new.json
EDITOR=./ed-see edit new.bin
edit new.json
edit new.env
edit new.ini
edit new.bin

# set
set p.yaml '["name"]' '"new"'
set p.yaml '["added"]' '"new"'
set p.yaml '["port"]' 9090
set p.yaml '["port"]' 1.25
set p.yaml '["debug"]' false
set p.yaml '["nothing"]' null
set p.yaml '["list"][0]' '"zero"'
set p.yaml '["list"][2]' '"three"'
set p.yaml '["list"][99]' '"far"'
set p.yaml '["nested"]["deep"]' '"y"'
set p.yaml '["nested"]["more"]' '"y"'
set p.yaml '["a"]["b"]["c"]' '"y"'
set p.yaml '["a"][0]' '"y"'
set p.yaml '["map"]' '{"x": "y", "n": 1}'
set p.yaml '["map"]' '[1]'
set p.yaml '["map"]' '{"x": '
set p.yaml '["name"]' unquoted
set p.yaml '["name"]' ''
set p.yaml '["name"' '"x"'
set p.yaml 'name' '"x"'
set p.yaml '["sops"]' '"x"'
set p.yaml '["name"]'
set p.yaml
set
set p.yaml '["name"]' '"x"' extra
set no.yaml '["name"]' '"x"'
set plain.yaml '["name"]' '"x"'
set other.yaml '["name"]' '"x"'
set tampered.yaml '["name"]' '"x"'
set --ignore-mac tampered.yaml '["name"]' '"x"'
set shamir.yaml '["name"]' '"x"'
set regex.yaml '["name"]' '"x"'
set regex.yaml '["port"]' '"x"'
set documents.yaml '["a"]' '"x"'
set --idempotent p.yaml '["name"]' '"secret"'
set --idempotent p.yaml '["name"]' '"new"'
set --value-file p.yaml '["map"]' value.json
set --value-file p.yaml '["map"]' value.txt
set --value-file p.yaml '["map"]' no-such-file
set --value-stdin p.yaml '["map"]' < value.json
set --value-stdin p.yaml '["map"]' < value.txt
set --value-stdin p.yaml '["name"]' '"x"' < value.json
set --value-stdin --value-file p.yaml '["name"]' value.json
set p.yaml --idempotent '["name"]' '"secret"'
set -x p.yaml '["name"]' '"x"'
set --help
--config broken-config.yaml set p.yaml '["name"]' '"x"'
set p.json '["name"]' '"new"'
set p.json '["list"][0]' '"new"'
set p.json '["map"]' '{"x": "y"}'
set p.env '["name"]' '"new"'
set p.env '["added"]' '"new"'
set p.env '["map"]' '{"x": "y"}'
set p.ini '["section"]["name"]' '"new"'
set --output-type json p.yaml '["name"]' '"new"'
set --output-type json p.yaml '["name"]' '"secret"'
set --idempotent --output-type json p.yaml '["name"]' '"secret"'
set --output-type yaml p.json '["name"]' '"new"'
set --output-type yaml p.json '["name"]' '"secret"'

# unset
unset p.yaml '["name"]'
unset p.yaml '["list"][0]'
unset p.yaml '["list"]'
unset p.yaml '["nested"]["deep"]'
unset p.yaml '["nope"]'
unset p.yaml '["list"][9]'
unset p.yaml '["name"]["x"]'
unset --idempotent p.yaml '["nope"]'
unset --idempotent p.yaml '["list"][9]'
unset --idempotent p.yaml '["name"]'
unset --idempotent p.yaml '["name"]["x"]'
unset p.yaml '["name"'
unset p.yaml
unset
unset p.yaml '["name"]' extra
unset no.yaml '["name"]'
unset tampered.yaml '["name"]'
unset --ignore-mac tampered.yaml '["name"]'
unset plain.yaml '["name"]'
unset other.yaml '["name"]'
unset --help
unset -x p.yaml '["name"]'
unset p.json '["name"]'
unset --output-type json p.yaml '["name"]'
unset p.env '["name"]'
unset p.ini '["section"]["name"]'

# rotate
rotate p.yaml
rotate -i p.yaml
rotate --output out p.yaml
rotate --output out -i p.yaml
rotate
rotate no.yaml
rotate --add-age {B} p.yaml
rotate -i --add-age {B} p.yaml
rotate -i --add-age {B},{C} p.yaml
rotate -i --add-age {C} --rm-age {A} p.yaml
rotate -i --rm-age {B} two.yaml
rotate --rm-age {C} p.yaml
rotate --add-age nonsense p.yaml
rotate --add-age {B} no.yaml
rotate --rm-age {B} no.yaml
rotate -i --add-age {C} shamir.yaml
rotate -i shamir.yaml
rotate tampered.yaml
rotate --ignore-mac tampered.yaml
rotate plain.yaml
rotate other.yaml
rotate p.yaml extra
rotate --help
rotate --filename-override x.yaml noending
rotate --output-type json p.yaml
rotate -i --output-type json p.yaml
rotate --input-type yaml noending
rotate --input-type yaml --output-type yaml noending
rotate -i p.json
rotate -i p.env
rotate -i p.ini
rotate -i p.bin

# updatekeys
updatekeys p.yaml
updatekeys -y p.yaml
updatekeys --yes two.yaml
--config alt.yaml updatekeys -y p.yaml
--config alt.yaml updatekeys p.yaml < y
--config alt.yaml updatekeys p.yaml < n
--config alt.yaml updatekeys p.yaml
--config alt.yaml updatekeys -y p.yaml two.yaml
--config alt.yaml updatekeys -y p.yaml no.yaml
--config alt.yaml updatekeys -y other.yaml
--config swap.yaml updatekeys -y p.yaml
--config swap.yaml updatekeys -y shamir.yaml
--config alt.yaml updatekeys -y shamir.yaml
--config no-rules.yaml updatekeys -y p.yaml
--config no.yaml updatekeys -y p.yaml
updatekeys
updatekeys -y no.yaml
updatekeys -y sub
updatekeys -y z.yaml
updatekeys -y plain.yaml
updatekeys -y tampered.yaml
updatekeys --input-type yaml -y noending
updatekeys --help
--config alt.yaml updatekeys -y p.json
--config alt.yaml updatekeys -y p.env
--config alt.yaml updatekeys -y p.ini
--config alt.yaml updatekeys -y p.bin

# filestatus
filestatus p.yaml
filestatus plain.yaml
filestatus no.yaml
filestatus nomac.yaml
filestatus broken.yaml
filestatus empty.yaml
filestatus p.yaml extra
filestatus --input-type yaml noending
filestatus noending
filestatus p.json
filestatus plain.json
filestatus p.env
filestatus plain.env
filestatus p.ini
filestatus p.bin
filestatus plain.bin
filestatus
filestatus --help

# groups
groups add -f p.yaml --age {B}
groups add -f p.yaml -i --age {B}
groups add --file p.yaml --in-place --age {B} --age {A}
groups add -f p.yaml -i --age {B},{C}
groups add -f p.yaml -i --age {B} --shamir-secret-sharing-threshold 2
groups add -f p.yaml -i --age {B} --shamir-secret-sharing-threshold 1
groups add -f p.yaml -i --age {B} --shamir-secret-sharing-threshold 3
groups add -f shamir.yaml -i --age {C}
groups add -f shamir.yaml -i --age {C} --shamir-secret-sharing-threshold 3
groups add -f p.yaml -i --age nonsense
groups add -f p.yaml -i
groups add -f other.yaml -i --age {A}
groups add -f no.yaml --age {A}
groups add -f plain.yaml --age {A}
groups add -f tampered.yaml --age {B}
groups add --age {A}
groups add -f p.yaml --age {B} extra
groups add -f p.yaml --x
groups add --help
SOPS_AGE_RECIPIENTS={B} groups add -f p.yaml -i --age {A}
groups delete -f shamir.yaml 0
groups delete -f shamir.yaml -i 0
groups delete -f shamir.yaml -i --shamir-secret-sharing-threshold 1 0
groups delete -f shamir.yaml -i --shamir-secret-sharing-threshold 1 1
groups delete -f shamir.yaml -i 1 --shamir-secret-sharing-threshold 1
groups delete -f p.yaml 0
groups delete -f p.yaml 7
groups delete -f p.yaml x
groups delete -f p.yaml -- -1
groups delete -f p.yaml
groups delete -f p.yaml 0 1
groups delete 0
groups delete -f no.yaml 0
groups delete -f other.yaml 0
groups delete --help
groups
groups --help
groups nonsense
groups --x
groups help add
groups help nonsense
groups add -f p.json -i --age {B}
groups add -f p.env -i --age {B}
groups add -f p.ini -i --age {B}

# exec-env
exec-env flat.yaml 'printf "%s|" "$word" "$whole" "$fraction" "$big" "$yes_or_no" "$nothing" "$day" "$lines"'
exec-env flat.yaml 'env | grep -c EDITOR'
exec-env --pristine flat.yaml '/usr/bin/env | /usr/bin/sort'
exec-env flat.yaml --pristine '/usr/bin/env | /usr/bin/sort'
exec-env flat.yaml 'exit 7'
exec-env flat.yaml 'kill -TERM $$'
exec-env flat.yaml 'kill -KILL $$'
exec-env flat.yaml 'no-such-program'
exec-env flat.yaml 'cat' < value.txt
exec-env flat.yaml 'echo to stderr >&2'
exec-env flat.yaml 'word=changed; echo $word'
WORD=outer exec-env flat.yaml 'echo $WORD $word'
exec-env --same-process flat.yaml 'echo $word; exit 7'
exec-env --same-process --pristine flat.yaml '/usr/bin/env | /usr/bin/sort'
exec-env --background flat.yaml true
exec-env --background --same-process flat.yaml true
exec-env --user no-such-user flat.yaml id
exec-env --user nobody flat.yaml 'id -u; echo $HOME $USER $LOGNAME'
exec-env p.yaml env
exec-env odd.yaml env
exec-env documents.yaml 'echo $a $b'
exec-env flat.yaml
exec-env
exec-env flat.yaml a b
exec-env no.yaml true
exec-env plain.yaml true
exec-env other.yaml true
exec-env tampered.yaml true
exec-env --ignore-mac tampered.yaml true
exec-env --decryption-order age,age flat.yaml true
exec-env --input-type yaml flat.yaml true
exec-env --help
exec-env p.env 'echo $name $port'
exec-env p.json 'echo $name'
exec-env p.ini 'echo $name'
exec-env p.bin 'echo $data'

# exec-file; sops fails now and then when nobody reads its FIFO
exec-file p.yaml 'cat {}'
exec-file p.yaml 'cat < {}'
exec-file p.yaml 'test -p {} && echo is a fifo; cat {} > /dev/null'
exec-file --no-fifo p.yaml 'cat {} {}'
exec-file --no-fifo p.yaml 'test -f {} && stat -c %a {} && stat -c %a "$(dirname {})"'
exec-file p.yaml 'cat {} > /dev/null; true'
exec-file p.yaml 'cat {} > /dev/null; exit 7'
exec-file --no-fifo p.yaml 'exit 7'
exec-file p.yaml 'cat {} > /dev/null; kill -TERM $$'
exec-file p.yaml 'basename {}; cat {} > /dev/null'
exec-file --filename foobar p.yaml 'basename {}; cat {}'
exec-file --no-fifo --filename foobar p.yaml 'basename {}; cat {}'
exec-file --filename /tmp/x p.yaml 'cat {}'
exec-file --filename ../x p.yaml 'cat {}'
exec-file --filename a/b p.yaml 'cat {}'
exec-file --no-fifo --filename ../x p.yaml 'cat {}'
exec-file p.yaml 'echo "$name-"; cat {} > /dev/null'
exec-file p.yaml 'cat; cat {} > /dev/null' < value.txt
exec-file --user no-such-user p.yaml id
TMPDIR=/tmp exec-file --user nobody p.yaml 'id -u; cat {} | wc -c'
exec-file --same-process p.yaml 'cat {}'
exec-file --pristine p.yaml 'cat {}'
exec-file --background --no-fifo p.yaml true
exec-file p.yaml
exec-file
exec-file p.yaml a b
exec-file no.yaml true
exec-file plain.yaml true
exec-file other.yaml true
exec-file tampered.yaml true
exec-file --help
exec-file --output-type yaml p.yaml 'cat {}'
--indent 2 exec-file p.yaml 'cat {}'
exec-file --output-type json p.yaml 'cat {}'
exec-file --output-type dotenv flat.yaml 'cat {}'
exec-file --input-type yaml --output-type yaml noending 'cat {}'
exec-file p.json 'cat {}'
exec-file p.env 'cat {}'
exec-file p.ini 'cat {}'
exec-file p.bin 'cat {}'

# completion
completion
completion nonsense
--generate-bash-completion
groups --generate-bash-completion
decrypt --generate-bash-completion
groups add --sh --generate-bash-completion
decrypt --extr --generate-bash-completion

# the older form
-d p.yaml
--decrypt p.yaml
-d -i p.yaml
-d --output out p.yaml
-d -i --output out p.yaml
-d --extract '["name"]' p.yaml
-d --ignore-mac tampered.yaml
-d tampered.yaml
-d z.yaml
-d no.yaml
-d
-d p.yaml -i
-di p.yaml
-d --input-type yaml --output-type yaml noending
-e plain.yaml
-e -i plain.yaml
-e --age {B} plain.yaml
-e --encrypted-comment-regex 'a comment' plain.yaml
-e --unencrypted-comment-regex 'a comment' plain.yaml
-e --encrypted-regex '^name$' plain.yaml
-e --mac-only-encrypted plain.yaml
-e z.yaml
-e no.yaml
-e p.yaml
-e --filename-override regex.yaml plain.yaml
-r p.yaml
-r -i p.yaml
-r -i --add-age {B} p.yaml
-r --rm-age {B} no.yaml
-r --ignore-mac tampered.yaml
-r z.yaml
--set '["name"] "new"' p.yaml
--set '["list"][0] "new"' p.yaml
--set '["name"]"new"' p.yaml
--set '["name"] new' p.yaml
--set '["name"] "x"' no.yaml
p.yaml
EDITOR=./ed-append p.yaml
EDITOR=./ed-append new.yaml
EDITOR=./ed-see new.yaml
EDITOR=./ed-append -s p.yaml
z.yaml
no.yaml
no/such.yaml
nonsense
--nonsense
-v
--version
--version --check-for-updates=false
--disable-version-check --version
--help
-h
help
h
help decrypt
h decrypt
help nonsense
version
--add-age {B} new.yaml
"##;

/// Command lines that end differently, with the reason.
pub(crate) const DIFFERENT: &[(&str, &[&str])] = &[
    (
        "what a rule cannot do is said, where sops leaves the whole file in clear text",
        &["encrypt --encrypted-regex '(' plain.yaml"],
    ),
    (
        "sops has these selections behind the older form only",
        &["encrypt --unencrypted-comment-regex x plain.yaml"],
    ),
    (
        "a word that does nothing is warned of",
        &[
            "decrypt --decryption-order x p.yaml",
            "--verbose decrypt p.yaml",
            "--input-type json decrypt p.yaml",
        ],
    ),
    (
        "the indentation of the config file is for new text; sops reformats the whole file",
        &["--config no-rules.yaml decrypt p.yaml", "--config no-rules.yaml encrypt --age {A} plain.yaml"],
    ),
    (
        "sops drops what was edited beside the keys",
        &["EDITOR=./ed-append edit --show-master-keys p.yaml", "EDITOR=./ed-append -s p.yaml"],
    ),
    (
        "a folder that is missing is told before the work in the editor, not after",
        &["edit no/such/new.yaml", "no/such.yaml"],
    ),
    ("a whole number stays one; in sops it becomes a float", &["set p.yaml '[\"port\"]' 9090"]),
    ("a file in which nothing changes is not written", &["set p.yaml '[\"nothing\"]' null"]),
    (
        "the braces stand on a line of their own: nothing but the entry is taken out",
        &["unset p.yaml '[\"nested\"][\"deep\"]'"],
    ),
    (
        "sops writes a file that nobody can open, and says nothing",
        &[
            "groups add -f p.yaml -i --age {B} --shamir-secret-sharing-threshold 1",
            "groups add -f p.yaml -i --age {B} --shamir-secret-sharing-threshold 3",
            "groups add -f p.yaml -i --age nonsense",
            "groups add -f p.yaml -i",
            "groups delete -f p.yaml 0",
        ],
    ),
    (
        "what stands behind the JSON is an error; sops drops it without a word",
        &["EDITOR=./ed-append edit p.json", "EDITOR=./ed-see edit new.json"],
    ),
    ("sops takes a JSON that is cut off for an empty one", &["encrypt broken.json"]),
    (
        "sops writes down a rule that is not used for such files; here the metadata stays as it was",
        &["EDITOR=./ed-append edit p.bin"],
    ),
    ("sops crashes", &["groups delete -f p.yaml 7"]),
    ("folders of the name are made", &["exec-file --filename a/b p.yaml 'cat {}'"]),
];
