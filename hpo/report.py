def render_report(result):
    return "x"
