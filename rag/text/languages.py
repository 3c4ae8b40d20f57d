"""Languages by code: their name, script, stemmer and stop words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from rag.errors import ConfigError, did_you_mean

__all__ = ["LANGUAGES", "STOP_WORD_LISTS", "Language", "language_named", "stop_words"]

STOP_WORD_LISTS = ("da", "de", "en", "en_plus", "es", "fr", "it", "ko", "nl", "no", "pt", "ru", "sv", "tr", "zh")
"""Names of the lists of stop words that bm25s brings."""

_NOT_NAMES = ("no", "off", "on", "yes", "true", "false", "n", "y")
"""What YAML 1.1 reads as truth values: nobody can tell what was meant."""


class Language(NamedTuple):
    """Properties of a language.

    Args:
        name: English name.
        script: Unicode name of its script.
        stemmer: Its Snowball algorithm; None where there is none.
        stop_words: bm25s' list of its stop words; None where there is none, or the words are cut into bigrams.
        common: Its most frequent words, which tell it from others in the same script.
    """

    name: str
    script: str
    stemmer: str | None = None
    stop_words: str | None = None
    common: str = ""


LANGUAGES = {
    "en": Language("English", "Latin", "english", "en", "the of and to in is that for it with as was on are be this"),
    "de": Language(
        "German", "Latin", "german", "de", "der die und den von zu das mit sich des auf für ist im dem nicht ein eine"
    ),
    "fr": Language(
        "French", "Latin", "french", "fr", "de la le et les des en un du une que est pour qui dans par sur pas au il"
    ),
    "es": Language(
        "Spanish", "Latin", "spanish", "es", "de la que el en los del se las por un para con no una su al lo como más"
    ),
    "pt": Language(
        "Portuguese", "Latin", "portuguese", "pt", "de que do da em um para com não uma os no se na por mais as dos"
    ),
    "it": Language(
        "Italian", "Latin", "italian", "it", "di che la il un per del in è non della le con si una dei da gli alla"
    ),
    "nl": Language("Dutch", "Latin", "dutch", "nl", "de van het een en in is dat op te zijn met voor niet aan er die"),
    "sv": Language("Swedish", "Latin", "swedish", "sv", "och att det som en på är av för med den till inte om ett har"),
    "da": Language("Danish", "Latin", "danish", "da", "og at det er en af til på som for den med de ikke der var et"),
    "nb": Language(
        "Norwegian", "Latin", "norwegian", "no", "og det er som en på til av for med å at ikke den har de et fra"
    ),
    "fi": Language("Finnish", "Latin", "finnish", None, "ja on ei että se hän oli mutta joka kun tai myös kuin ovat"),
    "et": Language("Estonian", "Latin", "estonian", None, "ja on ei et see kui oli ka mis või aga oma ta nii ning"),
    "hu": Language("Hungarian", "Latin", "hungarian", None, "az és hogy nem is egy ez de meg azt csak volt van ha már"),
    "pl": Language("Polish", "Latin", "polish", None, "się na nie jest do że to jak przez od po są dla oraz ale był"),
    "cs": Language("Czech", "Latin", "czech", None, "se na je že si to ve do pro jako by za při od která byl nebo"),
    "sk": Language("Slovak", "Latin", None, None, "sa na je že vo to aby pre ako pri od ktorá bol alebo sú nie"),
    "sl": Language("Slovene", "Latin", None, None, "je in se na da za so ki pa kot bi po ne ali tudi od iz"),
    "hr": Language("Croatian", "Latin", None, None, "je se na da za su što kao od koji ili sam nije bio iz"),
    "ro": Language("Romanian", "Latin", "romanian", None, "de în și la cu nu că din pe este pentru mai care sau ale"),
    "ca": Language("Catalan", "Latin", "catalan", None, "de la que el els les del amb per una és no al com més dels"),
    "eu": Language("Basque", "Latin", "basque", None, "eta da ez du bat dira zen ere izan duen baina hau dute egin"),
    "id": Language("Indonesian", "Latin", "indonesian", None, "yang dan di dari untuk dengan pada ini itu dalam tidak"),
    "tr": Language("Turkish", "Latin", "turkish", "tr", "ve bir bu için da de ile olarak çok daha gibi olan ne değil"),
    "az": Language("Azerbaijani", "Latin", None, None, "və bir bu üçün ilə olan də da kimi daha çox onun edir"),
    "lt": Language("Lithuanian", "Latin", "lithuanian", None, "ir yra kad iš su tai į bet buvo kaip per ar nuo dėl"),
    "lv": Language("Latvian", "Latin", None, None, "un ir no ar par ka uz bija kas kā tas arī pie tika tiek"),
    "ga": Language("Irish", "Latin", "irish", None, "an agus na ar go is sé bhí le ag tá don leis seo ach"),
    "eo": Language("Esperanto", "Latin", "esperanto", None, "la de kaj en estas al ne por kun kiu el ke oni tio"),
    "st": Language("Sesotho", "Latin", "sesotho", None, "ka le ho ea ke tsa hore ha ba moo oa mme hae bona"),
    "vi": Language("Vietnamese", "Latin", None, None, "là và của các có được cho một trong người không với những"),
    "ru": Language("Russian", "Cyrillic", "russian", "ru", "не на что он по как это из но для его от был или так же"),
    "uk": Language("Ukrainian", "Cyrillic", None, None, "та на не що до від як за це його або він для був із є"),
    "bg": Language("Bulgarian", "Cyrillic", None, None, "на от за да се по са че не това като към или при със който"),
    "sr": Language("Serbian", "Cyrillic", "serbian", None, "је се на да за су од као који или не то са није што"),
    "el": Language("Greek", "Greek", "greek"),
    "hy": Language("Armenian", "Armenian", "armenian"),
    "ka": Language("Georgian", "Georgian"),
    "he": Language("Hebrew", "Hebrew", None, None, "של את על לא הוא עם זה גם כי היא או אני"),
    "yi": Language("Yiddish", "Hebrew", "yiddish", None, "דער און די אין איז צו ניט פון מיט האט"),
    "ar": Language("Arabic", "Arabic", "arabic", None, "في من على إلى أن عن هذا التي الذي مع لا ما كان هذه"),
    "fa": Language("Persian", "Arabic", "persian", None, "و در به از که این را با است برای آن یک های می"),
    "ur": Language("Urdu", "Arabic", None, None, "کے میں کی ہے اور سے کا کو اس ہیں نے پر یہ تھا"),
    "hi": Language("Hindi", "Devanagari", "hindi", None, "के में की है से का को और पर ने यह हैं था एक"),
    "ne": Language("Nepali", "Devanagari", "nepali", None, "छ र मा को का पनि हो यो थियो भएको छन् गर्ने"),
    "mr": Language("Marathi", "Devanagari", None, None, "आहे आणि या व ते हे मध्ये होते आहेत केली झाले त्या"),
    "bn": Language("Bengali", "Bengali"),
    "pa": Language("Punjabi", "Gurmukhi"),
    "gu": Language("Gujarati", "Gujarati"),
    "or": Language("Odia", "Oriya"),
    "ta": Language("Tamil", "Tamil", "tamil"),
    "te": Language("Telugu", "Telugu"),
    "kn": Language("Kannada", "Kannada"),
    "ml": Language("Malayalam", "Malayalam"),
    "si": Language("Sinhala", "Sinhala"),
    "th": Language("Thai", "Thai"),
    "lo": Language("Lao", "Lao"),
    "km": Language("Khmer", "Khmer"),
    "my": Language("Burmese", "Myanmar"),
    "bo": Language("Tibetan", "Tibetan"),
    "am": Language("Amharic", "Ethiopic"),
    "zh": Language("Chinese", "Han"),
    "ja": Language("Japanese", "Hiragana"),
    "ko": Language("Korean", "Hangul"),
}
"""By ISO 639-1 code; of languages that tell nothing apart, the earlier is chosen."""

_ALIASES = {"nn": "nb", "bokmål": "nb", "nynorsk": "nb", "farsi": "fa", "slovenian": "sl", "flemish": "nl"}


def language_named(name: str) -> str:
    """The code of a language, given that or its English name.

    Raises:
        ConfigError: No language of that name.
    """
    normalized = name.strip().lower()
    if normalized in _NOT_NAMES:
        raise ConfigError(
            f"'{name}' may mean yes, no or Norwegian: write none (no stemmer, no stop words), auto, or nb (Norwegian)",
            parameter="language",
        )
    codes = {language.name.lower(): code for code, language in LANGUAGES.items()} | _ALIASES
    code = codes.get(normalized, normalized.partition("-")[0].partition("_")[0])
    if code not in LANGUAGES:
        valid = ["auto", "none", *LANGUAGES]
        near = did_you_mean(normalized, codes).partition(" (")[0]  # names are too many to list beside the codes
        raise ConfigError(f"no such language '{name}'{near} (valid: {', '.join(valid)})", parameter="language")
    return code


@cache
def stop_words(name: str) -> Sequence[str]:
    """The words of one of :data:`STOP_WORD_LISTS`."""
    from bm25s.tokenization import Tokenizer

    return tuple(Tokenizer(stopwords=name).stopwords)
