"""Files of the formats that people have, written by hand: small, and known to the letter."""

from __future__ import annotations

import io
import zipfile

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
DRAWING = (
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
RELATIONS = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
OFFICE = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"'
)


def zipped(files: dict[str, str | bytes]) -> bytes:
    """A ZIP file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def pdf(pages: list[list[tuple]], *, outline: list[tuple] = (), info: str = "", encrypted: bool = False) -> bytes:
    """A PDF of lines (text, x, y, size, font): ``F1`` Helvetica, ``F2`` Courier, ``F3`` Helvetica bold, ``F4`` TeX's
    slanted typewriter; ``\\b`` in a text goes half a letter back; a page that is None has an image and no text.
    Entries of the outline: title, page, height.
    """
    objects: list[bytes] = []

    def add(text: str | bytes) -> int:
        objects.append(text.encode("latin-1") if isinstance(text, str) else text)
        return len(objects)

    catalog, tree = add(""), add("")
    names = ("Helvetica", "Courier", "Helvetica-Bold", "CMSLTT10")
    fonts = [add(f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>") for name in names]
    resources = "<< /Font << " + " ".join(f"/F{n} {id} 0 R" for n, id in enumerate(fonts, 1)) + " >> "
    image = add(
        b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 /Length 1 >>\nstream\n\x00\nendstream"
    )
    kids = []
    for lines in pages:
        if lines is None:
            stream = b"q 400 0 0 400 50 50 cm /I1 Do Q"
        else:
            commands = []
            for text, x, y, size, font in lines:
                shown = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)").replace("\b", ") 500 (")
                commands.append(f"BT /{font} {size} Tf {x} {y} Td [({shown})] TJ ET")
            stream = "\n".join(commands).encode("cp1252")
        content = add(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        inner = resources + f"/XObject << /I1 {image} 0 R >> >>"
        kids.append(
            add(
                f"<< /Type /Page /Parent {tree} 0 R /MediaBox [0 0 595 842] /Resources {inner} /Contents {content} 0 R >>"
            )
        )
    entries = len(objects) + 1
    root = ""
    if outline:
        first = entries + 1
        add(f"<< /Type /Outlines /First {first} 0 R /Last {first + len(outline) - 1} 0 R /Count {len(outline)} >>")
        for number, (title, page, *height) in enumerate(outline):
            target = f"/XYZ 0 {height[0]} 0" if height else "/Fit"
            near = (f" /Prev {first + number - 1} 0 R" if number else "") + (
                f" /Next {first + number + 1} 0 R" if number + 1 < len(outline) else ""
            )
            add(f"<< /Title ({title}) /Parent {entries} 0 R /Dest [{kids[page]} 0 R {target}]{near} >>")
        root = f" /Outlines {entries} 0 R"
    about = add(f"<< {info} >>")
    lock = (
        add("<< /Filter /Standard /V 1 /R 2 /O <" + "28" * 32 + "> /U <" + "11" * 32 + "> /P -4 >>") if encrypted else 0
    )
    objects[catalog - 1] = f"<< /Type /Catalog /Pages {tree} 0 R{root} >>".encode()
    objects[tree - 1] = (
        f"<< /Type /Pages /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] /Count {len(kids)} >>".encode()
    )
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in places)
    locked = f" /Encrypt {lock} 0 R /ID [<00> <00>]" if lock else ""
    out += f"trailer\n<< /Size {len(objects) + 1} /Root {catalog} 0 R /Info {about} 0 R{locked} >>\nstartxref\n{start}\n%%EOF".encode()
    return bytes(out)


def text_page(lines: list[str], *, top: float = 780, size: float = 10, left: float = 72) -> list[tuple]:
    """Lines below each other."""
    return [(line, left, top - 14 * number, size, "F1") for number, line in enumerate(lines)]


def docx(body: str, *, more: dict[str, str] | None = None) -> bytes:
    """A Word document of paragraphs and tables in its own XML."""
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
        'ContentType="application/xml"/><Override PartName="/word/document.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{id}"><w:name w:val="{name}"/></w:style>'
        for id, name in (("Heading1", "heading 1"), ("Heading2", "heading 2"), ("Code", "Code"))
    )
    return zipped(
        {
            "[Content_Types].xml": types,
            "_rels/.rels": f'<Relationships {RELATIONS}><Relationship Id="r1" Type="{relation}/officeDocument" '
            'Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships {RELATIONS}><Relationship Id="r1" Type="{relation}/styles" '
            'Target="styles.xml"/></Relationships>',
            "word/styles.xml": f"<w:styles {WORD}>{styles}</w:styles>",
            "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
            "docProps/core.xml": '<cp:coreProperties xmlns:cp="c" xmlns:dc="d"><dc:title>Parcels</dc:title>'
            "<dc:creator>Ann</dc:creator></cp:coreProperties>",
            **(more or {}),
        }
    )


def w(text: str, style: str = "") -> str:
    """A paragraph of Word."""
    named = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{named}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def w_table(rows: list[list[str]]) -> str:
    """A table of Word; cells are XML where they begin with ``<``."""
    cells = (
        "<w:tr>" + "".join(f"<w:tc>{cell if cell.startswith('<') else w(cell)}</w:tc>" for cell in row) + "</w:tr>"
        for row in rows
    )
    return f"<w:tbl>{''.join(cells)}</w:tbl>"


def pptx(slides: list[str]) -> bytes:
    """A presentation of shapes in its own XML."""
    files = {
        "ppt/presentation.xml": f"<p:presentation {DRAWING}><p:sldIdLst>"
        + "".join(f'<p:sldId id="{256 + n}" r:id="r{n}"/>' for n in range(len(slides)))
        + "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": f"<Relationships {RELATIONS}>"
        + "".join(f'<Relationship Id="r{n}" Type="slide" Target="slides/slide{n}.xml"/>' for n in range(len(slides)))
        + "</Relationships>",
    }
    for number, body in enumerate(slides):
        files[f"ppt/slides/slide{number}.xml"] = (
            f"<p:sld {DRAWING}><p:cSld><p:spTree>{body}</p:spTree></p:cSld></p:sld>"
        )
    return zipped(files)


def shape(kind: str, *lines: str) -> str:
    """A shape of a slide with paragraphs."""
    text = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)
    return f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr><p:txBody>{text}</p:txBody></p:sp>'


def opendocument(body: str, kind: str = "text", styles: str = "") -> bytes:
    """An OpenDocument file."""
    content = (
        f"<office:document-content {OFFICE}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    return zipped({"mimetype": f"application/vnd.oasis.opendocument.{kind}", "content.xml": content})


def xlsx(sheets: dict[str, list[list[object]]]) -> bytes:
    """A workbook."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def epub(chapters: dict[str, str]) -> bytes:
    """A book of chapters."""
    items = "".join(f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>' for name in chapters)
    spine = "".join(f'<itemref idref="{name}"/>' for name in chapters)
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
            "OPS/book.opf": '<package xmlns:dc="d"><metadata><dc:title>A Book</dc:title><dc:language>en</dc:language>'
            f"</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>",
            **{f"OPS/{name}.xhtml": f"<html><body>{body}</body></html>" for name, body in chapters.items()},
        }
    )


def vertical_pdf(columns: list[str]) -> bytes:
    """A PDF of columns that go down the page, the first one at the right."""
    codes = {letter: code for code, letter in enumerate(dict.fromkeys("".join(columns)), 1)}
    mapped = "\n".join(f"<{code:04X}> <{ord(letter):04X}>" for letter, code in codes.items())
    unicode = (
        "begincmap 1 begincodespacerange <0000> <FFFF> endcodespacerange "
        f"{len(codes)} beginbfchar\n{mapped}\nendbfchar endcmap"
    )
    shown = [
        f"1 0 0 1 {500 - 30 * n} 780 Tm <{''.join(f'{codes[letter]:04X}' for letter in column)}> Tj"
        for n, column in enumerate(columns)
    ]
    text = f"BT /F1 20 Tf {' '.join(shown)} ET"
    system = "/CIDSystemInfo << /Registry (Adobe) /Ordering (Japan1) /Supplement 6 >>"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 4 0 R >> >> /Contents 7 0 R >>",
        "<< /Type /Font /Subtype /Type0 /BaseFont /M /Encoding /Identity-V /ToUnicode 6 0 R /DescendantFonts [5 0 R] >>",
        f"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /M {system} /DW 1000 >>",
        *(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream" for stream in (unicode, text)),
    ]
    body = "".join(f"{n} 0 obj\n{content}\nendobj\n" for n, content in enumerate(objects, 1))
    return f"%PDF-1.4\n{body}trailer << /Root 1 0 R /Size 8 >>\n%%EOF".encode()
