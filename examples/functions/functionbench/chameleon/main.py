"""Renders a table of HTML with a Chameleon template."""
import time

from chameleon import PageTemplate

cold = True
TABLE = """<table xmlns="http://www.w3.org/1999/xhtml" xmlns:tal="http://xml.zope.org/namespaces/tal">
  <tr tal:repeat="row rows">
    <td tal:repeat="cell row"><b tal:content="cell">cell</b> <i class="${'odd' if cell % 2 else 'even'}">${cell * 7}</i></td>
  </tr>
</table>"""


def main(args):
    global cold
    was_cold, cold = cold, False
    rows = int(args.get("num_of_rows", 10))
    columns = int(args.get("num_of_cols", 10))
    start = time.time()
    table = [range(columns * r, columns * (r + 1)) for r in range(rows)]
    page = PageTemplate(TABLE).render(rows=table)  # which compiles the template first
    end = time.time()
    return {"body": {"latency": end - start, "cold": was_cold, "start": start, "end": end, "characters": len(page)}}
