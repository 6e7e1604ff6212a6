// What an S3 server answers with. What is read says the same when it is written and read again.
#include <cstdlib>

#include "seeds.h"
#include "store/s3_xml.h"

using namespace holdfast;

namespace {

std::string written(XmlElement const& element, int depth) {
    if (depth > 16) std::abort();
    auto text = "<" + element.name + ">" + escape_xml(element.text);
    for (auto const& child : element.children) text += written(child, depth + 1);
    return text + "</" + element.name + ">";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto read = parse_xml({reinterpret_cast<char const*>(data), size});
    if (!read) return 0;
    auto text = written(*read, 1);
    auto again = parse_xml(text);
    if (!again || written(*again, 1) != text) std::abort();
    return 0;
}

std::vector<Bytes> seeds() {
    return {to_bytes("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                     "<Name>b</Name><KeyCount>1</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
                     "<Contents><Key>a%2Fb</Key><Size>12</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                     "</ListBucketResult>"),
            to_bytes("<Error><Code>SlowDown</Code><Message>Reduce &amp; wait &#x41;</Message><!-- c --></Error>"),
            to_bytes("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")};
}
