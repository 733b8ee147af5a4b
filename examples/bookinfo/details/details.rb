# What is printed on the book: author, publisher, pages. A leaf: it calls nobody.
# Configured by PORT.

require "json"
require "webrick"

BOOKS = {
  0 => {
    title: "The Comedy of Errors", author: "William Shakespeare", year: 1595, type: "paperback", pages: 200,
    publisher: "Publisher A", language: "English", isbn: "1234567890"
  },
  1 => {
    title: "Metamorphoses", author: "Publius Ovidius Naso", year: 8, type: "hardcover", pages: 723,
    publisher: "Publisher B", language: "Latin", isbn: "0987654321"
  }
}.freeze

# Answers GET /details/ID.
class Details < WEBrick::HTTPServlet::AbstractServlet
  def do_GET(request, response)
    id = request.path_info[%r{\A/(\d+)\z}, 1]
    return answer(response, 400, error: "please give the number of a book") if id.nil?

    book = BOOKS[id.to_i]
    return answer(response, 404, error: "no book #{id}") if book.nil?

    answer(response, 200, { id: id.to_i }.merge(book))
  end

  private

  def answer(response, status, document)
    response.status = status
    response["Content-Type"] = "application/json"
    response.body = JSON.generate(document)
  end
end

# Answers GET /health.
class Health < WEBrick::HTTPServlet::AbstractServlet
  def do_GET(_request, response)
    response["Content-Type"] = "application/json"
    response.body = JSON.generate(status: "details is healthy")
  end
end

port = Integer(ENV.fetch("PORT", "9080"))
server = WEBrick::HTTPServer.new(
  Port: port,
  BindAddress: "0.0.0.0",
  DoNotReverseLookup: true,
  AccessLog: [],
  Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN)
)
server.mount("/details", Details)
server.mount("/health", Health)
%w[INT TERM].each { |signal| trap(signal) { server.shutdown } }
warn "details listens on #{port}"
server.start
