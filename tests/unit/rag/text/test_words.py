"""Words in the scripts of the world: normal forms, cutting, languages."""

from __future__ import annotations

import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import ConfigError, Document, Pipeline
from rag.retrievers import BM25
from rag.text.analyzer import Analyzer
from rag.text.detect import read
from rag.text.languages import LANGUAGES
from rag.text.normal import is_blank, normalized
from rag.text.words import _NOT_ALPHABETIC, _WORD, _patterns, cut, words_of

SENTENCES = {
    "Amharic": ("መጽሐፍ ቤቱ ጠዋት ይከፈታል", "ጠዋት"),
    "Arabic": ("تفتح المكتبة أبوابها في الصباح", "المكتبة"),
    "Armenian": ("Գրադարանը բացվում է առավոտյան", "գրադարանը"),
    "Bengali": ("গ্রন্থাগার সকালে খোলে", "গ্রন্থাগার"),
    "Burmese": ("စာကြည့်တိုက်သည် မနက်တွင် ဖွင့်သည်", "စာကြည့်တိုက်"),
    "Chinese": ("图书馆早上九点开门。", "图书馆"),
    "Czech": ("Knihovna se otevírá ráno", "ráno"),
    "English": ("The library opens in the morning", "library"),
    "Georgian": ("ბიბლიოთეკა დილით იხსნება", "ბიბლიოთეკა"),
    "German": ("Die Bibliothek öffnet für alle am Morgen", "BIBLIOTHEK"),
    "Greek": ("Η βιβλιοθήκη ανοίγει το πρωί", "ΒΙΒΛΙΟΘΉΚΗ"),
    "Gujarati": ("પુસ્તકાલય સવારે ખુલે છે", "પુસ્તકાલય"),
    "Hebrew": ("הספרייה נפתחת בבוקר", "הספרייה"),
    "Hindi": ("पुस्तकालय सुबह खुलता है", "पुस्तकालय"),
    "Japanese": ("図書館は朝九時に開きます。", "図書館"),
    "Kannada": ("ಗ್ರಂಥಾಲಯ ಬೆಳಿಗ್ಗೆ ತೆರೆಯುತ್ತದೆ", "ಗ್ರಂಥಾಲಯ"),
    "Khmer": ("បណ្ណាល័យបើកនៅពេលព្រឹក", "បណ្ណាល័យ"),
    "Korean": ("도서관은 아침에 문을 연다", "도서관"),
    "Lao": ("ຫໍສະໝຸດເປີດໃນຕອນເຊົ້າ", "ຫໍສະໝຸດ"),
    "Malayalam": ("ഗ്രന്ഥശാല രാവിലെ തുറക്കുന്നു", "ഗ്രന്ഥശാല"),
    "Persian": ("کتابخانه صبح‌ها باز می‌شود", "کتابخانه"),
    "Punjabi": ("ਲਾਇਬ੍ਰੇਰੀ ਸਵੇਰੇ ਖੁੱਲ੍ਹਦੀ ਹੈ", "ਲਾਇਬ੍ਰੇਰੀ"),
    "Russian": ("Библиотека открывается утром", "библиотека"),
    "Sinhala": ("පුස්තකාලය උදේ විවෘත වේ", "පුස්තකාලය"),
    "Tamil": ("நூலகம் காலையில் திறக்கும்", "நூலகம்"),
    "Telugu": ("గ్రంథాలయం ఉదయం తెరుచుకుంటుంది", "గ్రంథాలయం"),
    "Thai": ("ห้องสมุดเปิดตอนเช้า", "ห้องสมุด"),
    "Tibetan": ("དཔེ་མཛོད་ཁང་ཞོགས་པར་སྒོ་འབྱེད།", "དཔེ་མཛོད་ཁང"),
    "Turkish": ("İSTANBUL KÜTÜPHANESİ sabah açılır", "kütüphanesi"),
    "Vietnamese": ("Thư viện mở cửa vào buổi sáng", "thư viện"),
}
TEXTS = st.text(max_size=60) | st.text("aAeİıIß\u0301\u0307\u0345\u00adé한글ᄒ人เก็िक‌ｱﾞ٠كِـ", max_size=30)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_word_that_was_indexed_is_found_first(form):
    documents = [Document(name, unicodedata.normalize("NFC", text)) for name, (text, _) in SENTENCES.items()]
    fragments = [Document(f"{name} letters", " ".join(word)) for name, (_, word) in SENTENCES.items()]
    pipeline = Pipeline(retriever=BM25()).fit([*fragments, *documents])
    results = pipeline.search([unicodedata.normalize(form, word) for _, word in SENTENCES.values()], top_k=1)
    assert list(SENTENCES) == [hits[0].document.id for hits in results]


@pytest.mark.parametrize("name", SENTENCES)
def test_so_it_is_in_a_corpus_of_its_language(name):
    text, word = SENTENCES[name]
    pipeline = Pipeline(retriever=BM25()).fit([Document("other", " ".join(word)), Document("right", text)])
    assert pipeline.search(word)[0].document.id == "right"


@given(TEXTS, st.booleans(), st.booleans())
def test_a_normal_form_is_its_own_and_that_of_all_that_is_equal(text, fold, turkic):
    expected = normalized(text, fold=fold, turkic=turkic)
    assert normalized(expected, fold=fold, turkic=turkic) == expected
    for form in ("NFC", "NFD"):
        assert normalized(unicodedata.normalize(form, text), fold=fold, turkic=turkic) == expected


def test_every_letter_has_a_normal_form_by_the_quick_way_too():
    for code in [*range(0xD800), *range(0xE000, 0x30000)]:
        text = normalized(chr(code))
        assert text == normalized(text), hex(code)
        if not _NOT_ALPHABETIC.search(text):
            assert _patterns()[1].findall(text) == _WORD.findall(text), hex(code)


@given(TEXTS, TEXTS, TEXTS)
def test_the_words_of_a_query_are_among_those_of_a_text_that_contains_it(before, query, after):
    text = " ".join([before, query, after])
    assert set(cut(normalized(query), singles=False)) <= set(cut(normalized(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("step_1 in C3PO's 4x4", ["step_1", "in", "c3po", "s", "4x4"]),
        ("人工智能", ["人", "工", "智", "能", "人工", "工智", "智能"]),
        ("猫 ABC株式1", ["猫", "abc", "株", "式", "株式", "1"]),
        ("किताब", ["किताब"]),
        ("\u0301 !?", []),
    ],
)
def test_words_are_cut(text, expected):
    assert cut(normalized(text)) == expected


def test_words_for_comparing_are_letters_where_there_are_no_spaces():
    assert words_of("Don’t PANIC:冷静") == ["don", "t", "panic", "冷", "静"]


@pytest.mark.parametrize("text", ["", " \n", "\u200b\ufeff", "\u00ad\u2060"])
def test_blank_texts(text):
    assert is_blank(text)
    assert not is_blank(text + ".")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Der Hund und die Katze sind nicht im Haus", "de"),
        ("Le chat est dans la maison et le chien n'est pas là", "fr"),
        ("The cat is in the house", "en"),
        ("Kissa on talossa ja koira ei ole, mutta se oli", "fi"),
        ("Кошка не в доме, но он это знал", "ru"),
        ("これは本です", "ja"),
        ("這是一本書", "zh"),
        ("kcal xyzzy", "en"),
        ("", None),
    ],
)
def test_languages_are_told(text, expected):
    assert read([text]).language == expected


def test_stemmer_and_stop_words_are_those_of_the_language():
    german = Analyzer("de")
    assert [german.term(word) for word in german.words("der Häuser Hauses")] == [None, "haus", "haus"]
    none = Analyzer(None)
    assert [none.term(word) for word in none.words("der Häuser")] == ["der", "häuser"]
    assert [a.term(w) for a in [Analyzer("de", stopwords=None)] for w in a.words("der Häuser")] == ["der", "haus"]
    assert german.words("Der") == pickle.loads(pickle.dumps(german)).words("Der")


def test_turkish_is_found_with_and_without_its_letters():
    turkish = Analyzer("tr", stemmer=None)
    assert [turkish.term(word) for word in turkish.words("İSTANBUL ISTANBUL istanbul ıstanbul")] == ["istanbul"] * 4


@pytest.mark.parametrize("name", ["no", "off", "klingon", "yes"])
def test_what_is_no_language_is_refused(name):
    with pytest.raises(ConfigError, match="language"):
        BM25(language=name)


@pytest.mark.parametrize("name", ["nb", "Norwegian", "nn", "NB", "de-AT", "none", None, "auto", *LANGUAGES])
def test_languages_have_codes_and_names(name):
    assert name == BM25(language=name).language


@pytest.mark.parametrize(
    ("arguments", "texts", "expected"),
    [
        ({}, ["Der Hund und die Katze"], ["bm25: language auto: German (de)"]),
        ({}, ["kcal"], ["bm25: language auto: nothing shows which language in Latin letters it is, so English"]),
        ({"language": "de"}, ["Der Hund und die Katze"], []),
        (
            {"language": "en"},
            ["Собака и кошка"],
            [
                "bm25: language en (English) was asked for, but 100% of the letters are Cyrillic: its stemmer and stop "
                "words do nothing there"
            ],
        ),
        (
            {"language": "none", "token_pattern": r"\w+"},
            ["图书馆早上九点开门。"],
            [
                "bm25: 100% of the letters are of scripts without spaces between words, which token_pattern '\\\\w+' "
                "does not cut: whole sentences count as words (leave token_pattern out)"
            ],
        ),
    ],
)
def test_it_says_what_it_took_the_texts_for(tmp_path, arguments, texts, expected):
    pipeline = Pipeline(retriever=BM25(**arguments)).fit([Document("a", text) for text in texts])
    pipeline.save(tmp_path / "index")
    assert list(pipeline.retriever.notes()) == expected
    assert list(Pipeline.load(tmp_path / "index").retriever.notes()) == expected


def test_the_language_stays_that_of_the_index():
    pipeline = Pipeline(retriever=BM25()).fit([Document("a", "Der Hund und die Katze sind nicht im Haus")])
    pipeline.add(
        [Document("b", "The cats of the house and the dogs are in it for it is the house"), Document("c", "Hauses")]
    )
    assert {hit.document.id for hit in pipeline.search("Häuser Haus")} - {"b"} == {"a", "c"}


@pytest.mark.parametrize("variant", ["robertson", "atire"])
def test_a_word_that_all_passages_have_is_shared_at_weight_0(variant):
    pipeline = Pipeline(retriever=BM25(variant=variant)).fit(
        [Document("a", "refund policy"), Document("b", "refund form")]
    )
    assert [hit.document.id for hit in pipeline.search("refund")] == ["a", "b"]
    assert [round(hit.score, 6) for hit in pipeline.search("refund")] == [0.0, 0.0]
